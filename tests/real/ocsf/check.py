"""check.py VERSION: documents of OCSF on standard input, one a line, against the published JSON Schema of their classes
and of the profiles that they name. Prints what is wrong, a line each, and at last how many documents it read."""

import json
import sys

import jsonschema
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(sys.argv[1]))
validators = {}
count = 0
for count, line in enumerate(sys.stdin, 1):
    document = json.loads(line)
    profiles = document["metadata"].get("profiles", [])
    kind = (document["class_uid"], *profiles)
    if kind not in validators:
        name = schemas.lookup_class_name_from_uid(document["class_uid"])
        validators[kind] = jsonschema.Draft202012Validator(schemas.get_class_schema(name, profiles))
    for error in validators[kind].iter_errors(document):
        print(f"{count}: {'/'.join(map(str, error.path))}: {error.message[:200]}")
print(count, "documents")
