//! JUnit XML, as CI systems read it: Jenkins's `junit-10.xsd`. It knows no place of a test case, so that is in its text.

use std::fmt::Write as _;

use super::located::{Located, Problem};
use crate::Place;
use crate::policy::{Fault, Severity, Verdict};

/// One suite: a case per finding, an error per fault and per input that could not be judged.
pub(super) fn write(suite: &str, findings: &[Located], faults: &[Fault], problems: &[Problem]) -> String {
    let failures = findings.iter().filter(|f| f.denies() || f.is_open()).count();
    let skipped = findings.iter().filter(|f| f.verdict == Verdict::Skip).count();
    let errors = faults.len() + problems.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">",
        escape(suite),
        findings.len() + errors,
    );
    for finding in findings {
        let name = match &finding.subject {
            Some(subject) => format!("{} ({subject})", finding.title),
            None => finding.title.clone(),
        };
        let _ = write!(out, "  <testcase classname=\"{}\" name=\"{}\">", escape(&finding.id()), escape(&name));
        let mut text = match &finding.remedy {
            Some(remedy) => format!("{}\n{remedy}", finding.message),
            None => finding.message.clone(),
        };
        if let Some(place) = &finding.place {
            let key = finding.pointer.as_deref().map(|pointer| format!(", {pointer}")).unwrap_or_default();
            let _ = write!(text, "\n{place}{key}");
        }
        if let Some(source) = &finding.source {
            let _ = write!(text, "\ntemplate {source}");
        }
        match (finding.verdict, finding.severity) {
            (Verdict::Fail | Verdict::Unknown, Severity::Error) => {
                let _ = write!(out, "<failure type=\"{}\">{}</failure>", finding.verdict, escape(&text));
            }
            (Verdict::Skip, _) => {
                let _ = write!(out, "<skipped message=\"{}\"/>", escape(&text));
            }
            _ => {
                let _ = write!(out, "<system-out>{}</system-out>", escape(&text));
            }
        }
        out.push_str("</testcase>\n");
    }
    for fault in faults {
        error(&mut out, &fault.policy, &fault.policy, None, &fault.message, &fault.remedy);
    }
    for problem in problems {
        let name = problem.place.as_ref().map_or("the documents can be judged", |place| place.file.as_str());
        error(&mut out, "input", name, problem.place.as_ref(), &problem.message, &problem.remedy);
    }
    out.push_str("</testsuite>\n");
    out
}

fn error(out: &mut String, class: &str, name: &str, at: Option<&Place>, message: &str, remedy: &str) {
    let place = at.map(|place| format!("\n{place}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "  <testcase classname=\"{}\" name=\"{}\"><error>{}\n{}{}</error></testcase>",
        escape(class),
        escape(name),
        escape(message),
        escape(remedy),
        escape(&place)
    );
}

fn escape(text: &str) -> String {
    text.chars()
        .filter(|c| (!c.is_control() || *c == '\n') && !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .flat_map(|c| match c {
            '<' => "&lt;".chars().collect::<Vec<_>>(),
            '>' => "&gt;".chars().collect(),
            '&' => "&amp;".chars().collect(),
            '"' => "&quot;".chars().collect(),
            other => vec![other],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_of_modules_cannot_break_the_document() {
        assert_eq!(super::escape("a<b>&\"c\"\u{1b}[31m\u{ffff}\n"), "a&lt;b&gt;&amp;&quot;c&quot;[31m\n");
    }
}
