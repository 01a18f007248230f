"""`python -m fhir_facade.cli`."""

from fhir_facade.cli.main import main

if __name__ == "__main__":
    main()
