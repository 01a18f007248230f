"""Comments and attachments: computed from the appointment or patient they hang on."""

from __future__ import annotations

import datetime as dt

from sandbox.qubs import vocabulary as words_of
from sandbox.qubs.draws import chance, guid, pick, words
from sandbox.qubs.pdf import small_pdf
from sandbox.qubs.records import Record, user_summary

LEAN_COMMENTED = 85
"""Percent of lean appointments with a comment of their own: comments are how their patient is
found. The rest stay unlinked unless the patient has comments, or they are pending."""


def _written(record: Record, word: int, fallback: dt.date) -> str | None:
    if chance(word, 5):
        return None
    day = dt.date.fromisoformat(record["appointmentDate"] or fallback.isoformat())
    return f"{day - dt.timedelta(days=word % 11)}T{word % 24:02}:{word % 60:02}:{word % 7:02}Z"


def appointment_comments(
    record: Record, *, lean: bool, reference: dt.date, seed: int
) -> list[Record]:
    """The comments (AC) and alerts (AA) of one generated appointment."""
    base = f"{seed}/{record['domain']}/comment/{record['appointmentId']}"
    draw = words(base)
    if not chance(draw[0], LEAN_COMMENTED if lean else 30):
        return []
    comments = []
    for number in range(1 + (draw[1] % 3 == 0) + (draw[2] % 7 == 0)):
        word = draw[3 + number]
        alert = chance(draw[6 + number], 15)
        texts = words_of.APPOINTMENT_ALERTS if alert else words_of.APPOINTMENT_COMMENTS
        comments.append(
            {
                "guid": guid(f"{base}/{number}"),
                "commentType": "AA" if alert else "AC",
                "appointmentId": record["appointmentId"],
                "patientId": None if number and chance(word, 20) else record["patientId"],
                "commentText": pick(texts, word),
                "commentDateTime": _written(record, word, reference),
                "isAlert": alert,
                "commentBy": _user(record, draw[9 + number]),
                "lastModifiedDateTime": _written(record, draw[12 + number], reference),
                "lastModifiedBy": _user(record, draw[13 + number]),
            }
        )
    return comments


def patient_comments(domain: str, patient_id: str, reference: dt.date, seed: int) -> list[Record]:
    """The comments (PC) and alerts (PA) of one patient; a third of the patients have some."""
    base = f"{seed}/{domain}/patient-comment/{patient_id}"
    draw = words(base)
    if not chance(draw[0], 33):
        return []
    at: Record = {
        "appointmentDate": None,
    }
    comments = []
    for number in range(1 + (draw[1] % 4 == 0)):
        word = draw[2 + number]
        alert = chance(draw[4 + number], 40)
        texts = words_of.PATIENT_ALERTS if alert else words_of.PATIENT_COMMENTS
        comments.append(
            {
                "guid": guid(f"{base}/{number}"),
                "commentType": "PA" if alert else "PC",
                "appointmentId": "",
                "patientId": patient_id,
                "commentText": pick(texts, word),
                "commentDateTime": _written(at, word, reference),
                "isAlert": alert,
                "commentBy": None,
                "lastModifiedDateTime": _written(at, draw[6 + number], reference),
                "lastModifiedBy": None,
            }
        )
    return comments


def appointment_attachments(record: Record, reference: dt.date, seed: int) -> list[Record]:
    """Referral, worksheet and (when reported) report files of one generated appointment.

    ``stored`` says whether content can be had; it is not part of any view.
    """
    base = f"{seed}/{record['domain']}/attachment/{record['appointmentId']}"
    draw = words(base)
    kinds = []
    if chance(draw[0], 40):
        kinds.append((0, "Referral", "referral.pdf"))
    if chance(draw[1], 15) and record["status"] not in words_of.NEVER_ARRIVED:
        kinds.append((1, "Worksheet", "worksheet – page 1.pdf"))
    if chance(draw[2], 35) and record["status"] in words_of.REPORT_DONE:
        kinds.append((2, "report", "report.pdf"))
    return [
        {
            "guid": guid(f"{base}/{number}"),
            "category": category,
            "fileName": name,
            "addedDateTime": _written(record, draw[3 + number], reference),
            "addedBy": _user(record, draw[6 + number]),
            "lastModifiedDateTime": _written(record, draw[9 + number], reference),
            "lastModifiedBy": _user(record, draw[12 + number]),
            "stored": not chance(draw[15], 3),
        }
        for number, category, name in kinds
    ]


def attachment_content(attachment: Record) -> bytes:
    """The file behind a generated attachment, always the same bytes."""
    return small_pdf(
        ["Synthetic document, no real person.", f"{attachment['category']}", attachment["guid"]]
    )


def _user(record: Record, word: int) -> Record | None:
    return None if chance(word, 35) else user_summary(record["scheduledSite"], word)
