//! The causes of an error as one line, each said once: kube-rs and hyper repeat in a message what its source says again.

use std::error::Error;

/// `error` and its sources, outermost first, joined by `: `. A cause that its outer message already ends with is not repeated.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        // kube-rs quotes paths twice.
        let text = clean(&cause.to_string()).replace("'\"", "`").replace("\"'", "`");
        let said = words.iter().any(|word| word == &text);
        if !text.is_empty() && !said {
            // The outer message was `HyperError: client error (Connect)`; what follows says the same or more.
            if let Some(outer) = words.last_mut()
                && let Some(shorter) = outer.strip_suffix(&text)
            {
                *outer = shorter.trim_end().trim_end_matches(':').to_owned();
                if outer.is_empty() {
                    words.pop();
                }
            }
            words.push(text);
        }
        next = cause.source();
    }
    words.retain(|word| !is_label(word));
    words.join(": ")
}

/// One line without control characters.
pub(crate) fn clean(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ")
}

/// Names of layers that tell a reader nothing.
fn is_label(word: &str) -> bool {
    matches!(
        word,
        "ServiceError" | "HyperError" | "auth error" | "client error (Connect)" | "client error (SendRequest)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Said(&'static str, Option<Box<Said>>);

    impl std::fmt::Display for Said {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Said {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn says_each_cause_once_and_no_layer_names() {
        let error = Said(
            "ServiceError: client error (Connect)",
            Some(Box::new(Said(
                "client error (Connect)",
                Some(Box::new(Said(
                    "tcp connect error",
                    Some(Box::new(Said("Connection refused\n(os error 111)", None))),
                ))),
            ))),
        );
        assert_eq!(chain(&error), "tcp connect error: Connection refused (os error 111)");
        assert_eq!(chain(&Said("only", Some(Box::new(Said("only", None))))), "only");
    }
}
