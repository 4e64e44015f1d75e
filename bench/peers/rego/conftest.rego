# For conftest, which gives all documents of the stream together (`--combine`) and asks for `deny` and `warn` of this package.
package main

import data.rules
import rego.v1

deny contains message if some message in rules.denied

warn contains message if some message in rules.warned
