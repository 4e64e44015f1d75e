# What the built-in policies ask of the documents of a chart, `chart-chaining` and `l7-policy-void` with every rule that needs
# no cluster: errors in `denied`, warnings in `warned`, each as the id of its rule and the cause. `documents` comes from the face.
package rules

import rego.v1

# Documents, and the items of lists.
objects := array.concat(singles, items)

singles := [document | some document in documents; not is_list(document)]

items := [item | some document in documents; is_list(document); some item in document.items]

is_list(document) if is_array(document.items)

configs := [object |
	some object in objects
	object.kind == "ConfigMap"
	object.metadata.name == "cilium-config"
]

agents := [object |
	some object in objects
	object.kind == "DaemonSet"
	is_agent(object)
]

is_agent(object) if object.metadata.name == "cilium"

is_agent(object) if object.metadata.labels["k8s-app"] == "cilium"

is_agent(object) if object.spec.template.metadata.labels["k8s-app"] == "cilium"

containers := [container | some agent in agents; some container in agent.spec.template.spec.containers]

# Major and minor of the first agent whose image tells a version.
version := versions[0]

versions := [[to_number(numbers[1]), to_number(numbers[2])] |
	some container in containers
	name := split(container.image, "@")[0]
	tag := regex.find_n(`:[^:]*$`, name, 1)[0]
	numbers := regex.find_all_string_submatch_n(`^:v?([0-9]+)\.([0-9]+)`, tag, 1)[0]
]

# A boolean or a number that a template forgot to quote counts as its text.
value(config, key) := trim_space(config.data[key]) if is_string(config.data[key])

value(config, key) := json.marshal(config.data[key]) if {
	not is_string(config.data[key])
	not is_null(config.data[key])
}

is_set(config, key) if value(config, key)

# What is not set is none of these. OPA calls a function before it negates, so `not value(…) == …` would say nothing of what is not set.
is_any(config, key, wanted) if value(config, key) in wanted

told(config, key) := sprintf("%s is %q", [key, value(config, key)])

told(config, key) := sprintf("%s is not set", [key]) if not is_set(config, key)

has_old_keys(config) if {
	not is_set(config, "routing-mode")
	is_set(config, "tunnel")
}

# A chart of before 1.14.
is_old(_) if version < [1, 14]

is_old(config) if {
	not version
	has_old_keys(config)
}

denied contains "config-present: the agent is rendered, but no ConfigMap cilium-config" if {
	count(configs) == 0
	count(agents) > 0
}

denied contains message if {
	some config in configs
	some [rule, key, wanted] in [
		["chaining-mode", "cni-chaining-mode", "generic-veth"],
		["ipv4-masquerade-off", "enable-ipv4-masquerade", "false"],
	]
	not is_any(config, key, {wanted})
	message := sprintf("%s: %s", [rule, told(config, key)])
}

denied contains message if {
	some config in configs
	value(config, "enable-ipv6") == "true"
	not is_any(config, "enable-ipv6-masquerade", {"false"})
	message := sprintf("ipv6-masquerade-off: %s", [told(config, "enable-ipv6-masquerade")])
}

denied contains message if {
	some config in configs
	[key, wanted] := routing(config)
	not is_any(config, key, {wanted})
	message := sprintf("native-routing: %s", [told(config, key)])
}

routing(config) := ["tunnel", "disabled"] if has_old_keys(config)

routing(config) := ["routing-mode", "native"] if not has_old_keys(config)

denied contains message if {
	some config in configs
	value(config, "cni-exclusive") == "true"
	message := sprintf("not-exclusive: %s", [told(config, "cni-exclusive")])
}

# Before 1.14 a script at the agent's start renames other files, unless it is told that the file is the operator's.
denied contains message if {
	some config in configs
	is_old(config)
	not is_any(config, "custom-cni-conf", {"true"})
	message := sprintf("not-exclusive: %s", [told(config, "custom-cni-conf")])
}

warned contains message if {
	some config in configs
	beside := beside_known
	message := sprintf("chart-known: Cilium %d.%d is %s than the rules", [version[0], version[1], beside])
}

beside_known := "newer" if version > [1, 20]

beside_known := "older" if version < [1, 10]

warned contains message if {
	some config in configs
	not writes(config)
	message := sprintf("conf-written: %s", [told(config, "write-cni-conf-when-ready")])
}

writes(config) if {
	is_set(config, "write-cni-conf-when-ready")
	some base in ["read-cni-conf", "cni-chaining-target"]
	is_set(config, base)
}

warned contains message if {
	some config in configs
	patterns := regex.split(`[ ,]+`, object.get(config.data, "devices", ""))
	some wanted in [["ovn0"], ["genev_sys_6081", "vxlan_sys_4789", "stt_sys_7471"]]
	not attached(patterns, wanted)
	message := sprintf("devices: %s, without %s", [told(config, "devices"), concat(" or ", wanted)])
}

attached(patterns, wanted) if {
	some device in wanted
	device in patterns
}

attached(patterns, wanted) if {
	some pattern in patterns
	endswith(pattern, "+")
	some device in wanted
	startswith(device, trim_suffix(pattern, "+"))
}

warned contains message if {
	some config in configs
	not is_any(config, "unmanaged-pod-watcher-interval", {"0", "0s"})
	message := sprintf("pod-watcher: %s", [told(config, "unmanaged-pod-watcher-interval")])
}

warned contains message if {
	some config in configs
	is_set(config, "ipam")
	value(config, "ipam") != "cluster-pool"
	message := sprintf("pool: %s", [told(config, "ipam")])
}

warned contains message if {
	some config in configs
	not other_ipam(config)
	some range in regex.split(`[ ,]+`, value(config, "cluster-pool-ipv4-cidr"))
	some used in ["10.16.0.0/16", "100.64.0.0/16", "10.96.0.0/12"]
	net.cidr_intersects(range, used)
	message := sprintf("pool: %s overlaps %s", [range, used])
}

other_ipam(config) if {
	is_set(config, "ipam")
	value(config, "ipam") != "cluster-pool"
}

warned contains message if {
	some config in configs
	not is_any(config, "enable-identity-mark", {"false"})
	message := sprintf("identity-mark: %s", [told(config, "enable-identity-mark")])
}

warned contains message if {
	some config in configs
	not is_any(config, "policy-audit-mode", {"true"})
	not is_any(config, "enable-policy", {"never"})
	message := sprintf("enforcement: %s", [told(config, "policy-audit-mode")])
}

# Rules that only Cilium's proxy can enforce have no effect behind the chain.
warned contains message if {
	some object in objects
	object.kind in {"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"}
	startswith(object.apiVersion, "cilium.io/")
	some spec in array.concat([object.spec | object.spec], [spec | some spec in object.specs])
	some way in ["ingress", "egress"]
	some rule in spec[way]
	some field in proxied(rule)
	message := sprintf("no-l7-rules: %s %s uses %s", [object.kind, object.metadata.name, field])
}

proxied(rule) := fields if {
	names := {"toFQDNs" | some _ in rule.toFQDNs}
	ports := {field |
		some port in rule.toPorts
		some field in ["terminatingTLS", "originatingTLS", "listener"]
		port[field] != null
	}
	servers := {"serverNames" | some port in rule.toPorts; some _ in port.serverNames}
	kinds := {kind | some port in rule.toPorts; some kind, value in port.rules; value != null}
	fields := ((names | ports) | servers) | kinds
}
