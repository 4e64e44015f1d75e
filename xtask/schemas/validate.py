"""validate.py sarif|junit SCHEMAS FILE...: a line `ok FILE` or `FILE: what is wrong` for each.

JUnit is held to Jenkins's junit-10.xsd, with one addition that the schema does not know: `file` and `line` of a test case, as PHPUnit
writes and GitLab reads them. They are checked here and taken away before the schema judges.
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
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
        root = ElementTree.parse(path).getroot()
        wrong = []
        for case in root.iter("testcase"):
            file, line = case.attrib.pop("file", None), case.attrib.pop("line", None)
            if (file is None) != (line is None) or (line is not None and (not file or not line.isdigit() or int(line) < 1)):
                wrong.append(f"file {file!r} and line {line!r} of {case.get('name')!r}")
        return wrong + [f"{error.path}: {error.reason}" for error in schema.iter_errors(root)]

    return judge


def main():
    kind, schemas, files = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    judge = {"sarif": sarif, "junit": junit}[kind](schemas)
    for file in files:
        wrong = judge(Path(file))
        print(f"{file}: {'; '.join(wrong)}" if wrong else f"ok {file}")


main()
