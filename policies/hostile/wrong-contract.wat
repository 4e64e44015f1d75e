;; A sound component of somebody else's contract.
(component
  (core module $module (func (export "run") (result i32) (i32.const 42)))
  (core instance $m (instantiate $module))
  (func $run (result u32) (canon lift (core func $m "run")))
  (instance $checks (export "run" (func $run)))
  (export "acme:checks/run@1.0.0" (instance $checks)))
