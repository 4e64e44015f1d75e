;; Not a component: a core module, as a compiler gives it before it is wrapped.
(module
  (memory (export "memory") 1)
  (func (export "check") (result i32) (i32.const 0)))
