# For opa, which reads no more than one YAML document: it gets the stream as one text and cuts it itself.
package stream

import data.chaining
import rego.v1

documents := [yaml.unmarshal(part) | some part in split(input.stream, "\n---\n")]

deny contains message if {
	some document in documents
	some message in chaining.violations(document)
}

deny contains "cni-exclusive is true" if {
	some document in documents
	chaining.exclusive(document)
}
