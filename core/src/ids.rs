//! Names that must not be mixed up: each is a newtype over the text that Kubernetes or we use.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text)
            }
        }
    };
}

id! {
    /// `metadata.name` of a Node.
    NodeName
}
id! {
    /// Id of a policy module, kebab-case, as its `describe` says: `node-kernel`.
    PolicyId
}
id! {
    /// Id of a rule of one policy, kebab-case: `kernel-too-old`.
    RuleId
}
id! {
    /// Id of a step of a plan, kebab-case and unique in it: `cut-over/node-a`.
    StepId
}
id! {
    /// Id of one run of a plan: twelve hexadecimal digits.
    RunId
}
