"""Word lists the synthetic world is built from. Every person, number and text here is invented."""

from __future__ import annotations

from typing import NamedTuple

STATUSES: tuple[str, ...] = (
    "NOT ARRIVED",
    "ARRIVED",
    "DID NOT ATTEND",
    "APPPOINTMENT CANCELLED",
    "CANCELLATION LIST",
    "DICTATION INPROGRESS",
    "DICTATED",
    "TYPED",
    "AUTHORISING",
    "AUTHORISED",
    "TYPING INPROGRESS",
    "PENDING REPORTING",
    "STUDY INPROGRESS",
    "SECOND REVIEW",
    "FINALISED",
    "REVIEW TYPED",
    "PEER REVIEW",
    "SECOND OPINION",
)
"""The complete list, spelled exactly as QUBS spells it (three P's included)."""

STATUS_CODE: dict[str, int] = {text: code for code, text in enumerate(STATUSES)}
PENDING = "PENDING REPORTING"

NEVER_ARRIVED = frozenset(
    {"NOT ARRIVED", "DID NOT ATTEND", "APPPOINTMENT CANCELLED", "CANCELLATION LIST"}
)
REPORT_DONE = frozenset({"AUTHORISED", "FINALISED"})

WEIGHTS: dict[str, dict[str, int]] = {
    "future": {
        "NOT ARRIVED": 200,
        "APPPOINTMENT CANCELLED": 34,
        "CANCELLATION LIST": 22,
    },
    "today": {
        "NOT ARRIVED": 64,
        "ARRIVED": 56,
        "STUDY INPROGRESS": 40,
        "PENDING REPORTING": 48,
        "DICTATION INPROGRESS": 16,
        "DID NOT ATTEND": 12,
        "APPPOINTMENT CANCELLED": 20,
    },
    "recent": {
        "PENDING REPORTING": 64,
        "DICTATION INPROGRESS": 8,
        "DICTATED": 16,
        "TYPING INPROGRESS": 10,
        "TYPED": 14,
        "REVIEW TYPED": 8,
        "AUTHORISING": 12,
        "AUTHORISED": 36,
        "SECOND REVIEW": 6,
        "PEER REVIEW": 6,
        "SECOND OPINION": 4,
        "FINALISED": 44,
        "DID NOT ATTEND": 12,
        "APPPOINTMENT CANCELLED": 16,
    },
    "past": {
        "FINALISED": 176,
        "AUTHORISED": 28,
        "DID NOT ATTEND": 16,
        "APPPOINTMENT CANCELLED": 22,
        "PENDING REPORTING": 4,
        "SECOND OPINION": 3,
        "PEER REVIEW": 3,
        "SECOND REVIEW": 2,
        "NOT ARRIVED": 2,
    },
}
"""Share of each status, in 256ths, by where the day lies relative to the reference date."""


class Exam(NamedTuple):
    """One catalogue entry; ``minutes`` is the configured length."""

    key: str
    description: str
    category: str
    modality: str
    minutes: int


EXAMS: tuple[Exam, ...] = (
    Exam("CT_CHEST", "CT Chest", "CT", "CT", 15),
    Exam("CT_ABDO", "CT Abdomen and Pelvis", "CT", "CT", 20),
    Exam("CT_BRAIN", "CT Brain", "CT", "CT", 15),
    Exam("CT_KUB", "CT Kidneys, Ureters & Bladder", "CT", "CT", 15),
    Exam("MR_BRAIN", "MRI Brain", "MRI", "MR", 40),
    Exam("MR_KNEE_L", "MRI Left Knee", "MRI", "MR", 30),
    Exam("MR_KNEE_R", "MRI Right Knee", "MRI", "MR", 30),
    Exam("MR_LSPINE", "MRI Lumbar Spine", "MRI", "MR", 35),
    Exam("US_ABDO", "Ultrasound Abdomen", "Ultrasound", "US", 30),
    Exam("US_PELVIS", "Ultrasound Pelvis", "Ultrasound", "US", 30),
    Exam("US_THYROID", "Ultrasound Thyroid", "Ultrasound", "US", 20),
    Exam("US_OBS_12", "Obstetric Ultrasound 12 weeks", "Ultrasound", "US", 45),
    Exam("XR_CHEST", "X-Ray Chest", "General X-Ray", "DX", 10),
    Exam("XR_HAND_L", "X-Ray Left Hand", "General X-Ray", "DX", 10),
    Exam("XR_ANKLE_R", "X-Ray Right Ankle", "General X-Ray", "CR", 10),
    Exam("XR_SPINE", "X-Ray Cervical Spine", "General X-Ray", "CR", 15),
    Exam("MG_SCREEN", "Mammogram Screening", "Mammography", "MG", 20),
    Exam("MG_DIAG", "Mammogram Diagnostic", "Mammography", "MG", 30),
    Exam("BMD", "Bone Mineral Densitometry", "DEXA", "BMD", 20),
    Exam("NM_BONE", "Nuclear Medicine Bone Scan", "Nuclear Medicine", "NM", 60),
    Exam("PT_WB", "PET/CT Whole Body", "Nuclear Medicine", "PT", 90),
    Exam("FL_SWALLOW", "Fluoroscopy Swallow", "Fluoroscopy", "RF", 30),
    Exam("OPG", "Orthopantomogram (OPG)", "Dental", "PX", 10),
    Exam("BX_US", "Ultrasound-guided Biopsy", "Intervention", "US", 60),
)

FIRST_NAMES: tuple[tuple[str, str], ...] = (
    ("Amelia", "Female"),
    ("Oliver", "Male"),
    ("Mia", "Female"),
    ("Noah", "Male"),
    ("Aroha", "Female"),
    ("Wiremu", "Male"),
    ("Siobhán", "Female"),
    ("Giang", "Female"),
    ("José", "Male"),
    ("Priya", "Female"),
    ("Kwame", "Male"),
    ("Zoë", "Female"),
    ("Mary-Anne", "Female"),
    ("Li", "Male"),
    ("Hana", "Female"),
    ("Sione", "Male"),
    ("Alex", "Other"),
    ("Björn", "Male"),
    ("Fatima", "Female"),
    ("Dmitri", "Male"),
    ("Jacqueline", "Female"),
    ("Arjun", "Male"),
    ("Ngaire", "Female"),
    ("Tomasz", "Male"),
)

LAST_NAMES: tuple[str, ...] = (
    "Nguyen",
    "O'Brien",
    "Smith-Jones",
    "van der Berg",
    "Tūhoe",
    "Fernández",
    "Patel",
    "Kowalczyk",
    "McAllister",
    "Okafor",
    "Ng",
    "D'Souza",
    "Papadopoulos",
    "Tanaka",
    "Brown",
    "Wilson",
    "Taufa",
    "Al-Hashimi",
    "Lindqvist",
    "Ito",
    "Harrison",
    "Müller",
    "Singh",
    "Fitzgerald",
    "Whitehouse",
    "Zhang",
    "Ryan",
    "Te Rangi",
    "Baker",
    "Novák",
)

STAFF_NAMES: tuple[str, ...] = (
    "Dr Ruth Calloway",
    "Dr Imran Sheikh",
    "Dr Helen Voss",
    "Tess Marlowe",
    "Jonas Aldridge",
    "Dr Keiko Arai",
    "Petra Nowak",
    "Dr Samuel Oduya",
    "Lucia Bianchi",
    "Dr Graham Pell",
    "Moana Parata",
    "Dr Anjali Rao",
)

COUNTRIES = ("Australia", "Australia", "Australia", "New Zealand", "AU")
GENDER_WORDS: dict[str, tuple[str, ...]] = {
    "Female": ("Female", "Female", "F", "female"),
    "Male": ("Male", "Male", "M", "male"),
    "Other": ("Other", "Indeterminate", "X"),
}

PRIORITIES = ("Routine", "Routine", "Routine", "Urgent", "Stat", "Semi-urgent")
BILLING_STATUSES = ("active", "billed", "on hold", "not billed")
BILLING_TYPES = ("Bulk Bill", "Private", "Workers Compensation", "DVA")
SKILL_MARKS: tuple[object, ...] = ("Y", "Trainee", "Supervised", True, 2, "", None)

CLINICAL_INFO = (
    "Persistent cough for three weeks. ?infection",
    "Follow-up of known lesion, compare with previous study.",
    "Trauma, fall from standing height. Exclude fracture.",
    "Chronic lower back pain radiating to the left leg.\nNo red flags.",
    "Pre-operative assessment.",
    "Headache, new onset; exclude <space occupying lesion> & bleed.",
    "Family history of osteoporosis.",
)

APPOINTMENT_COMMENTS = (
    "Interpreter booked.",
    "Prefers a morning slot.\r\nWill call back.",
    "Previous films to be brought along.",
    "Fasting instructions given by phone.",
    "Referral received by fax; original to follow.",
    "Naïve to contrast – consent form signed ✓",
)
APPOINTMENT_ALERTS = (
    "Contrast reaction noted at last visit",
    "Needs lift access",
    "Check renal function",
)
PATIENT_COMMENTS = (
    "Hard of hearing.",
    "Carer attends all visits.",
    "Contact by e-mail only.",
)
PATIENT_ALERTS = ("Pacemaker in situ", "Allergy: iodinated contrast", "Falls risk")

PROVIDER_NUMBERS = (
    "2147781A",
    "2147782B",
    "2300911F",
    "2300912H",
    "4410055K",
    "4410056L",
    "5120007T",
    "5120008W",
)
"""Provider numbers of the referrers; a grant names some of them."""

SERVICE_ITEMS = (
    ("56301", "Computed tomography, chest"),
    ("63001", "Magnetic resonance imaging, head"),
    ("55036", "Ultrasound, abdomen"),
    ("58503", "Radiographic examination, chest"),
    ("61421", "Whole body study"),
)
