//! The list of words that holds the flags of kube-ovn-controller, and what becomes of it.

use std::collections::BTreeMap;

/// The two switches that are handed over.
pub const SWITCHES: [&str; 2] = ["enable-np", "enable-lb"];

/// `list` with `flags` set, everything else and the order as they were: a flag is matched by its name, in both forms
/// (`--flag=value`, `--flag value`), and appended when absent.
pub fn apply(list: &[String], flags: &BTreeMap<String, String>) -> Vec<String> {
    let mut words = list.to_vec();
    for (flag, value) in flags {
        let (joined, split) = (format!("--{flag}="), format!("--{flag}"));
        let wanted = format!("--{flag}={value}");
        if let Some(word) = words.iter_mut().find(|word| word.starts_with(&joined)) {
            *word = wanted;
        } else if let Some(at) = words.iter().position(|word| *word == split) {
            let has_value = words.get(at + 1).is_some_and(|next| matches!(next.as_str(), "true" | "false"));
            words[at] = wanted;
            if has_value {
                words.remove(at + 1);
            }
        } else {
            words.push(wanted);
        }
    }
    words
}

/// The switches as a list has them.
pub fn switches(list: &[String]) -> BTreeMap<String, String> {
    SWITCHES.into_iter().map(|flag| (flag.to_owned(), value(list, flag).to_owned())).collect()
}

/// Whether a list turns every switch of `flags` as they say, in whatever words.
pub fn hold(list: &[String], flags: &BTreeMap<String, String>) -> bool {
    flags.iter().all(|(flag, wanted)| value(list, flag) == wanted)
}

/// What a list says of a switch; an absent one is on, as Kube-OVN counts it.
fn value<'l>(list: &'l [String], flag: &str) -> &'l str {
    let (joined, split) = (format!("--{flag}="), format!("--{flag}"));
    let at = list.iter().position(|word| word.starts_with(&joined) || *word == split);
    let Some(at) = at else { return "true" };
    let next = || list.get(at + 1).filter(|next| matches!(next.as_str(), "true" | "false"));
    list[at].strip_prefix(&joined).or_else(|| next().map(String::as_str)).unwrap_or("true")
}

/// The flags as they are written: `--enable-lb=false --enable-np=false`.
pub fn words(flags: &BTreeMap<String, String>) -> String {
    flags.iter().map(|(name, value)| format!("--{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_set_in_both_forms_and_appended_when_absent() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let off = BTreeMap::from([
            ("enable-lb".to_owned(), "false".to_owned()),
            ("enable-np".to_owned(), "false".to_owned()),
        ]);
        assert_eq!(
            apply(&list(&["start.sh", "--enable-np=true", "--x=1", "--enable-lb", "true", "--y"]), &off),
            list(&["start.sh", "--enable-np=false", "--x=1", "--enable-lb=false", "--y"])
        );
        assert_eq!(
            apply(&list(&["--enable-lb", "--z"]), &off),
            list(&["--enable-lb=false", "--z", "--enable-np=false"])
        );
        let once = apply(&list(&["a"]), &off);
        assert_eq!(apply(&once, &off), once, "setting twice changes nothing");
    }

    #[test]
    fn a_switch_is_on_unless_a_word_turns_it_off() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let both = |np: &str, lb: &str| {
            BTreeMap::from([("enable-lb".to_owned(), lb.to_owned()), ("enable-np".to_owned(), np.to_owned())])
        };
        for (words, np, lb) in [
            (&["start.sh"][..], "true", "true"),
            (&["--enable-np=false", "--enable-lb", "false"], "false", "false"),
            (&["--enable-np", "--enable-lb=true"], "true", "true"),
        ] {
            assert_eq!(switches(&list(words)), both(np, lb), "{words:?}");
            assert!(hold(&list(words), &both(np, lb)), "{words:?}");
            assert!(!hold(&list(words), &both(np, "maybe")), "{words:?}");
        }
    }
}
