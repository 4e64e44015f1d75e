# For opa, which gets the stream as one list: it reads no more than one YAML document.
package stream

import data.chaining
import rego.v1

deny contains message if {
	some document in input
	some message in chaining.violations(document)
}

deny contains "cni-exclusive is true" if {
	some document in input
	chaining.exclusive(document)
}
