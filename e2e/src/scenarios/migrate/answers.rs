//! What those who ask were answered: failures and gaps, outside the times when a pod was being made again.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use crate::error::{Error, Result};

/// Milliseconds since the epoch.
pub(super) type Moment = u128;

/// A time during which an answer could not be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Moment,
    pub(super) to: Moment,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    /// When the answer, or the failure, was there.
    at: Moment,
    /// Why there was none.
    failed: Option<String>,
    /// Its asker was started just before it.
    first: bool,
}

/// Every question to one target by one who asks.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// `client`, `stranger`, `node` or `outside`.
    pub(super) who: String,
    /// The node it runs on.
    pub(super) on: String,
    pub(super) target: String,
    questions: Vec<Question>,
}

/// The longest time between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Gap {
    pub(super) milliseconds: u128,
    pub(super) since: Moment,
}

impl Gap {
    pub(super) fn window(self) -> Window {
        Window { from: self.since, to: self.since + self.milliseconds }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.milliseconds)
    }
}

impl Answers {
    /// Reads every file below `folder`: `WHO/NODE/TARGET`.
    pub(super) fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for who in entries(folder)? {
            for on in entries(&folder.join(&who))? {
                for target in entries(&folder.join(&who).join(&on))? {
                    let path = folder.join(&who).join(&on).join(&target);
                    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
                    let questions = parse(&text)
                        .ok_or_else(|| Error::Expectation(format!("{} holds no answers", path.display())))?;
                    all.push(Self { who: who.clone(), on: on.clone(), target, questions });
                }
            }
        }
        Ok(all)
    }

    /// `client on n1 to db-0`.
    pub(super) fn name(&self) -> String {
        format!("{} on {} to {}", self.who, self.on, self.target)
    }

    pub(super) fn answered(&self) -> usize {
        self.questions.iter().filter(|one| one.failed.is_none()).count()
    }

    /// When it was answered in this time.
    pub(super) fn answered_at(&self, time: Window) -> Vec<Moment> {
        let counts = |one: &&Question| one.failed.is_none() && (time.from..time.to).contains(&one.at);
        self.questions.iter().filter(counts).map(|one| one.at).collect()
    }

    pub(super) fn asked(&self) -> usize {
        self.questions.len()
    }

    /// Questions of this time that were not answered although they could have been, each with its reason.
    pub(super) fn failures(&self, time: Window, excused: &[Window]) -> Vec<String> {
        let counts = |one: &&Question| {
            (time.from..time.to).contains(&one.at) && !excused.iter().any(|window| window.holds(one.at))
        };
        let failed = self.questions.iter().filter(counts).filter_map(|one| Some((one.at, one.failed.as_ref()?)));
        failed.map(|(at, why)| format!("{}: at {at}: {why}", self.name())).collect()
    }

    /// Why questions of this time were not answered, each reason with its count; empty where all were.
    pub(super) fn reasons(&self, time: Window) -> String {
        let mut counts = BTreeMap::<&str, usize>::new();
        for why in self.questions.iter().filter(|one| time.holds(one.at)).filter_map(|one| one.failed.as_deref()) {
            *counts.entry(why).or_default() += 1;
        }
        let all: Vec<String> = counts.into_iter().map(|(why, count)| format!("{count} × {why}")).collect();
        if all.is_empty() { String::new() } else { format!(": {}", all.join(", ")) }
    }

    /// The longest time without an answer that ended in this time and touches no excused one.
    pub(super) fn longest_gap(&self, time: Window, excused: &[Window]) -> Option<Gap> {
        let mut longest = None;
        let mut last: Option<Moment> = None;
        for one in &self.questions {
            if one.first {
                last = None;
            }
            if one.failed.is_some() {
                continue;
            }
            if let Some(since) = last.replace(one.at) {
                let gap = Window { from: since, to: one.at };
                let is_free = !excused.iter().any(|window| window.meets(gap));
                if (time.from..time.to).contains(&one.at) && is_free {
                    longest = longest.max(Some(Gap { milliseconds: one.at - since, since }));
                }
            }
        }
        // Nobody was answered any more until the end of this time.
        let end = last.map(|since| Window { from: since, to: time.to }).filter(|gap| gap.from < gap.to);
        let silent = end.filter(|gap| !excused.iter().any(|window| window.meets(*gap)));
        longest.max(silent.map(|gap| Gap { milliseconds: gap.to - gap.from, since: gap.from }))
    }
}

impl Window {
    fn holds(self, at: Moment) -> bool {
        (self.from..=self.to).contains(&at)
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        names.push(entry.map_err(Error::io("read", folder))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// A last line that is not whole is one that is being written.
fn parse(text: &str) -> Option<Vec<Question>> {
    let mut questions = Vec::new();
    let mut first = false;
    for line in text[..text.rfind('\n')?].lines() {
        let (at, rest) = line.split_once(' ')?;
        let at: Moment = at.parse().ok()?;
        if rest == "start" {
            first = true;
            continue;
        }
        let (took, said) = rest.split_once(' ')?;
        let failed = match said.split_once(' ')? {
            ("ok", _) => None,
            ("failed", why) => Some(why.to_owned()),
            _ => return None,
        };
        questions.push(Question { at: at + took.parse::<Moment>().ok()?, failed, first });
        first = false;
    }
    // The last words of a pod that is going may stand behind the first of its successor.
    questions.sort_by_key(|one| one.at);
    Some(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: Window = Window { from: 0, to: 10_000 };

    fn answers(text: &str) -> Answers {
        let questions = parse(text).unwrap();
        Answers { who: "client".to_owned(), on: "n1".to_owned(), target: "db-0".to_owned(), questions }
    }

    #[test]
    fn a_gap_is_from_answer_to_answer() {
        let answers = answers("0 start\n100 1 ok db-0\n200 1 ok db-0\n300 1000 failed timed out\n1400 2 ok db-0\n");
        let until = |to| answers.longest_gap(Window { from: 0, to }, &[]).unwrap().milliseconds;
        assert_eq!((until(1_500), until(9_402)), (1_201, 8_000), "silence until the end is a gap too");
        assert_eq!(answers.failures(ALWAYS, &[]), ["client on n1 to db-0: at 1300: timed out"]);
        assert_eq!((answers.asked(), answers.answered()), (4, 3));
        assert_eq!(
            (answers.reasons(ALWAYS), answers.reasons(Window { from: 0, to: 999 })),
            (": 1 × timed out".into(), String::new())
        );
    }

    #[test]
    fn a_restart_of_either_side_is_no_gap() {
        let own = answers("0 start\n100 1 ok db-0\n9800 start\n9850 1 ok db-0\n9950 1 ok db-0\n");
        assert_eq!(own.longest_gap(ALWAYS, &[]).unwrap().milliseconds, 100);
        let theirs = answers("0 start\n100 1 ok db-0\n200 900 failed refused\n2000 1 ok db-0\n2100 1 ok db-0\n");
        let excused = [Window { from: 150, to: 1800 }];
        assert_eq!(theirs.longest_gap(Window { from: 0, to: 2_102 }, &excused).unwrap().milliseconds, 100);
        assert!(theirs.failures(ALWAYS, &excused).is_empty());
    }

    #[test]
    fn what_is_being_written_is_not_read() {
        assert_eq!(answers("0 start\n100 1 ok db-0\n200 1 o").asked(), 1);
        assert!(parse("100 1 maybe x\n").is_none());
    }
}
