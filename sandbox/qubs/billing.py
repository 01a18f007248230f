"""The billing view, computed from the appointment."""

from __future__ import annotations

import datetime as dt

from sandbox.qubs.draws import chance, pick, words
from sandbox.qubs.records import Record
from sandbox.qubs.vocabulary import SERVICE_ITEMS


def billing_record(record: Record, reference: dt.date, seed: int) -> Record:
    """Invented billing details of one appointment."""
    draw = words(f"{seed}/{record['domain']}/billing/{record['appointmentId']}")
    items: list[Record] = [
        {"itemNumber": number, "description": text}
        for number, text in sorted({pick(SERVICE_ITEMS, draw[0]), pick(SERVICE_ITEMS, draw[1])})
    ]
    if chance(draw[2], 10):
        items = [{}]
    numbers = ",".join(item["itemNumber"] for item in items if item)
    invoiced = not chance(draw[3], 40)
    expiry = reference + dt.timedelta(days=draw[4] % 1500)
    return {
        "domain": record["domain"],
        "appointmentId": record["appointmentId"],
        "batchSk": f"B{draw[5]}" if invoiced else None,
        "billingStatus": record["billingStatus"],
        "billingType": record["billingType"],
        "invoiceCreationError": "Provider not registered" if chance(draw[6], 5) else None,
        "invoiceNumber": f"INV{draw[7]:05}" if invoiced else None,
        "invoiceSk": f"S{draw[8]}" if invoiced else None,
        "isBillingsChecked": None if chance(draw[9], 20) else bool(draw[9] & 1),
        "medicareExpiryDate": None if chance(draw[10], 20) else expiry.isoformat(),
        "medicareIrn": None if chance(draw[10], 20) else str(1 + draw[10] % 9),
        "medicareNumber": None if chance(draw[10], 20) else f"{2000000000 + draw[11] * 91}",
        "providerNumber": record["providerNumber"],
        "serviceItemNumbers": numbers or None,
        "serviceItems": None if chance(draw[12], 10) else items,
    }
