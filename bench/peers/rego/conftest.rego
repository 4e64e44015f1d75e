# For conftest, which gives one document of the stream at a time.
package main

import data.chaining
import rego.v1

deny contains message if some message in chaining.violations(input)

deny contains "cni-exclusive is true" if chaining.exclusive(input)
