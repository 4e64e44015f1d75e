"""validate.py sarif|junit SCHEMAS FILE...: a line `ok FILE` or `FILE: what is wrong` for each.

SARIF is held to its own schema, JUnit to Jenkins's junit-10.xsd.
"""

import json
import sys
from pathlib import Path


def sarif(schemas):
    import jsonschema

    schema = json.loads((schemas / "sarif-2.1.0.json").read_text())
    validator = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())

    def judge(path):
        errors = validator.iter_errors(json.loads(path.read_text()))
        return [f"{error.json_path}: {error.message[:200]}" for error in errors]

    return judge


def junit(schemas):
    import xmlschema

    schema = xmlschema.XMLSchema(str(schemas / "junit-10.xsd"))

    def judge(path):
        return [f"{error.path}: {error.reason}" for error in schema.iter_errors(str(path))]

    return judge


def main():
    kind, schemas, files = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    judge = {"sarif": sarif, "junit": junit}[kind](schemas)
    for file in files:
        wrong = judge(Path(file))
        print(f"{file}: {'; '.join(wrong)}" if wrong else f"ok {file}")


main()
