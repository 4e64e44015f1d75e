# What makes a Cilium chain behind Kube-OVN, as the policy `chart-chaining` judges `cilium-config`: its five errors.
package chaining

import rego.v1

violations(document) := messages if {
	document.kind == "ConfigMap"
	document.metadata.name == "cilium-config"
	messages := [message |
		some [key, wanted] in [
			["cni-chaining-mode", "generic-veth"],
			["routing-mode", "native"],
			["enable-ipv4-masquerade", "false"],
			["enable-ipv6-masquerade", "false"],
		]
		told := object.get(document.data, key, "")
		told != wanted
		not spared(document, key)
		message := sprintf("%s is %q, not %q", [key, told, wanted])
	]
}

# Masquerading of a family that is off does no harm.
spared(document, "enable-ipv6-masquerade") if object.get(document.data, "enable-ipv6", "") != "true"

exclusive(document) if {
	document.kind == "ConfigMap"
	document.metadata.name == "cilium-config"
	document.data["cni-exclusive"] == "true"
}
