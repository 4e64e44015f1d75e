# For opa, which reads no more than one YAML document: it gets the stream as one text and cuts it itself.
package rules

import rego.v1

documents := [yaml.unmarshal(part) | some part in split(input.stream, "\n---\n")]

findings := {"denied": denied, "warned": warned}
