# The documents as conftest gives them with `--combine`.
package rules

import rego.v1

documents := [file.contents | some file in input]
