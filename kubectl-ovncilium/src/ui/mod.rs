//! The one module that prints: stdout is data, stderr is talk; colour only on a terminal.

mod progress;

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use ovncilium_core::report::{Label, Paint};

pub use progress::Progress;

/// Colours by label; `anstream` takes them away where they do not belong (no terminal, `NO_COLOR`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Colour;

impl Paint for Colour {
    fn paint(&self, label: Label, text: &str) -> String {
        let style = match label {
            Label::Good => AnsiColor::Green.on_default(),
            Label::Warn => AnsiColor::Yellow.on_default(),
            Label::Bad => AnsiColor::Red.on_default().bold(),
            Label::Open => AnsiColor::Magenta.on_default(),
            Label::Title => Style::new().bold(),
            Label::Dim => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// Data, as it is.
pub fn data(text: &str) {
    raw(text, false);
}

/// Talk: one line.
pub fn say(line: &str) {
    raw(&format!("{line}\n"), true);
}

/// An error with its hint.
pub fn error(message: &str, hint: Option<&str>) {
    say(&format!("{} {message}", Colour.paint(Label::Bad, "error:")));
    if let Some(hint) = hint {
        say(&format!("{} {hint}", Colour.paint(Label::Dim, "hint:")));
    }
}

/// Write to stdout or stderr. A reader that has gone away is no error of ours.
pub fn raw(text: &str, to_stderr: bool) {
    let _written = if to_stderr {
        anstream::stderr().write_all(text.as_bytes())
    } else {
        let mut out = anstream::stdout();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
}

/// Ask for a yes; `None` when there is nobody to ask.
pub fn confirm(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    raw(&format!("{question} [y/N] "), true);
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Whether talk goes to a terminal.
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}
