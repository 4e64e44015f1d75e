;; Hostile: `check` answers 800 findings whose messages are all the same 60 KB of memory: 48 MB in all.
(component
  ;; The contract's types. A component's exported functions may only use types that have a name, so each is exported;
  ;; the host looks at their shape, not at these names.
  (type $scope-def (variant (case "cluster") (case "node" string) (case "document" u32) (case "stream")))
  (export $scope "scope" (type $scope-def))
  (type $rule-def (record (field "id" string) (field "title" string) (field "severity" string) (field "help" string)))
  (export $rule "rule" (type $rule-def))
  (type $selector-def
    (record (field "api-group" string) (field "kinds" (list string)) (field "namespaces" (list string))))
  (export $selector "selector" (type $selector-def))
  (type $info-def (record
    (field "id" string) (field "version" string) (field "title" string) (field "scopes" (list string))
    (field "facts" (list string)) (field "selectors" (list $selector)) (field "rules" (list $rule))
    (field "settings-schema" (option string))))
  (export $info "info" (type $info-def))
  (type $verdict-def (enum "pass" "fail" "unknown" "skip"))
  (export $verdict "verdict" (type $verdict-def))
  (type $finding-def (record
    (field "rule" string) (field "verdict" $verdict) (field "message" string) (field "subject" (option string))
    (field "remedy" (option string)) (field "document" (option u32)) (field "pointer" (option string))
    (field "patch" (option string))))
  (export $finding "finding" (type $finding-def))
  (type $settings-error-def (record (field "pointer" string) (field "message" string)))
  (export $settings-error "settings-error" (type $settings-error-def))

  (core module $module
    (memory (export "memory") 1)
    ;; Texts: every string is an address and a length.
    (data (i32.const 16) "wat-huge-output") ;; 15 bytes
    (data (i32.const 32) "0.1.0") ;; 5 bytes
    (data (i32.const 48) "answers too much") ;; 16 bytes
    (data (i32.const 64) "cluster") ;; 7 bytes
    (data (i32.const 80) "much") ;; 4 bytes
    (data (i32.const 96) "the organisation allows this") ;; 28 bytes
    (data (i32.const 128) "error") ;; 5 bytes
    (data (i32.const 144) "An example in WebAssembly text.") ;; 31 bytes
    (data (i32.const 176) "x") ;; 1 bytes
    ;; Records, laid out as the canonical ABI says: 32-bit words, little-endian.
    ;; info: id, version, title
    (data (i32.const 1024) "\10\00\00\00\0f\00\00\00\20\00\00\00\05\00\00\00\30\00\00\00\10\00\00\00")
    ;; info: scopes, facts, selectors (each a list: where, how many)
    (data (i32.const 1048) "\3c\04\00\00\01\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
    ;; info: rules; settings-schema is none (zero)
    (data (i32.const 1072) "\50\04\00\00\01\00\00\00")
    ;; the one scope
    (data (i32.const 1084) "\40\00\00\00\07\00\00\00")
    ;; the one rule: id, title, severity, help
    (data (i32.const 1104) "\50\00\00\00\04\00\00\00\60\00\00\00\1c\00\00\00\80\00\00\00\05\00\00\00\90\00\00\00\1f\00\00\00")
    ;; the finding: rule, verdict 1 (fail), message; no subject
    (data (i32.const 1136) "\50\00\00\00\04\00\00\00\01\00\00\00\b0\00\00\00\01\00\00\00")
    ;; the answer of check: ok, a list of findings
    (data (i32.const 1216) "\00\00\00\00\70\04\00\00\01\00\00\00")

    ;; Settings and scopes are not looked at, so whatever the host hands in may overwrite what was there before.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "describe") (result i32) (i32.const 1024))
    ;; Zero bytes: ok.
    (func (export "configure") (param i32 i32) (result i32) (i32.const 2048))
    ;; The template at 1136 with its message made 60,000 bytes long, copied 800 times.
    (func (export "check") (param i32 i32 i32) (result i32)
      (local $at i32)
      (drop (memory.grow (i32.const 2)))
      (i32.store (i32.const 1148) (i32.const 4096))
      (i32.store (i32.const 1152) (i32.const 60000))
      (memory.fill (i32.const 4096) (i32.const 120) (i32.const 60000))
      (local.set $at (i32.const 65536))
      (loop $again
        (memory.copy (local.get $at) (i32.const 1136) (i32.const 76))
        (local.set $at (i32.add (local.get $at) (i32.const 76)))
        (br_if $again (i32.lt_u (local.get $at) (i32.const 126336))))
      (i32.store (i32.const 1220) (i32.const 65536))
      (i32.store (i32.const 1224) (i32.const 800))
      (i32.const 1216)))

  (core instance $m (instantiate $module))
  (alias core export $m "memory" (core memory $memory))
  (alias core export $m "realloc" (core func $realloc))

  (func $describe (result $info) (canon lift (core func $m "describe") (memory $memory)))
  (func $configure (param "settings" string) (result (result (error (list $settings-error))))
    (canon lift (core func $m "configure") (memory $memory) (realloc $realloc)))
  (func $check (param "at" $scope) (result (result (list $finding) (error string)))
    (canon lift (core func $m "check") (memory $memory) (realloc $realloc)))
  (instance $policy
    (export "describe" (func $describe)) (export "configure" (func $configure)) (export "check" (func $check)))
  (export "ovncilium:policy/policy@0.1.0" (instance $policy)))
