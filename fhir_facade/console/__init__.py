"""The provider's console: people, apps, limits, groups, grants and the trail, for their keepers."""
