"""Result files that are stored without repetitions, made whole again."""


def expanded(content):
    """The same content with one whole record for each result.

    A file stored without repetitions says in its header, under "compact": "same", what a record has that does not say otherwise;
    "complete", the fields of records of complete data alone; "gap", those of records with gaps alone; "fields", the order of the
    numbers in "gaps". A record's "gaps" are rows of these numbers: each is a record that shares all else with that of the complete
    data. Any other file comes back as it is.
    """
    rule = content["header"].get("compact")
    if rule is None:
        return content
    records = []
    for stored in content["records"]:
        whole = rule["same"] | stored
        rows = whole.pop("gaps", [])
        shared = {name: value for name, value in whole.items() if name not in rule["complete"]} | rule["gap"]
        records += [whole, *(shared | dict(zip(rule["fields"], row)) for row in rows)]
    header = {name: value for name, value in content["header"].items() if name != "compact"}
    return {"header": header, "records": records}
