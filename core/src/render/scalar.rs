//! Gives a YAML 1.1 scalar the type that Go's `yaml.v2` gives it, which is what Helm, kubectl and the API server see.
//!
//! Source: `resolve.go` of `go.yaml.in/yaml/v2@v2.4.3` and `convertToJSONableObject` of `sigs.k8s.io/yaml@v1.6.0`.
//! `yes`, `on` and `y` are booleans, `0777` is octal, `1_000` is a number; `yEs`, `1:30` and dates stay text.

use serde_json::{Number, Value};

/// A scalar with its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text,
}

/// The type of an untagged plain scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => dotted(text),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Scalar::Text,
    }
}

fn word(text: &str) -> Scalar {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::Text,
    }
}

fn dotted(text: &str) -> Scalar {
    match text {
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
        _ if text.contains('_') => {
            // Only here Go wants a digit on both sides of an underscore.
            let bytes = text.as_bytes();
            let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
            let between = (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(|at| digit(at - 1) && digit(at + 1));
            if between { decimal(&text.replace('_', "")) } else { Scalar::Text }
        }
        _ => decimal(text),
    }
}

fn number(text: &str) -> Scalar {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let plain: std::borrow::Cow<'_, str> =
        if text.contains('_') { text.replace('_', "").into() } else { std::borrow::Cow::Borrowed(text) };
    let (negative, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, &plain[1..]),
        Some(b'+') => (false, &plain[1..]),
        _ => (false, &*plain),
    };
    let signed = digits.len() != plain.len();
    if let Some(magnitude) = integer(digits) {
        if negative {
            if let Ok(value) = i64::try_from(-i128::from(magnitude)) {
                return Scalar::Int(value);
            }
        } else if let Ok(value) = i64::try_from(magnitude) {
            return Scalar::Int(value);
        } else if !signed {
            return Scalar::Uint(magnitude);
        }
    }
    // Go reads what follows `0b` once more, with a sign of its own.
    if let Some(value) = plain.strip_prefix("0b").and_then(|digits| i64::from_str_radix(digits, 2).ok()) {
        return Scalar::Int(value);
    }
    decimal(&plain)
}

/// Digits in Go's base-0 notation: `0x`, `0o`, `0b`, a leading `0` for octal, else decimal.
fn integer(digits: &str) -> Option<u64> {
    let bytes = digits.as_bytes();
    let (radix, digits) = match bytes {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and finite.
fn decimal(text: &str) -> Scalar {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let shaped = digits(whole)
        && fraction.is_none_or(digits)
        && (!whole.is_empty() || fraction.is_some_and(|f| !f.is_empty()))
        && exponent.is_none_or(|e| {
            let e = e.strip_prefix(['+', '-']).unwrap_or(e);
            !e.is_empty() && digits(e)
        });
    match text.parse::<f64>() {
        Ok(value) if shaped && value.is_finite() => Scalar::Float(value),
        _ => Scalar::Text,
    }
}

impl Scalar {
    /// The JSON value that Go writes for it; `text` is the scalar as it stands in the document.
    pub(super) fn json(self, text: &str) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::from(value),
            Self::Uint(value) => Value::from(value),
            Self::Float(value) => Value::Number(json_float(value).ok_or(format!("`{text}` has no JSON value"))?),
            Self::Text => Value::String(text.to_owned()),
        })
    }

    /// The text that becomes of it as a mapping key: JSON keys are text, so `on:` is the key `true`.
    pub(super) fn key(self, text: &str) -> Result<String, String> {
        Ok(match self {
            Self::Null => return Err("a mapping key is null".to_owned()),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(_) => return Err(format!("the mapping key `{text}` is too large")),
            Self::Float(value) if value.is_infinite() => if value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
            Self::Float(value) if value.is_nan() => ".nan".to_owned(),
            // Go writes keys in 32-bit precision; with an exponent only outside of this range.
            Self::Float(value) if value == 0.0 || (1e-4..1e6).contains(&(value as f32).abs()) => {
                (value as f32).to_string()
            }
            Self::Float(_) => {
                return Err(format!("the mapping key `{text}` is a number that has more than one spelling"));
            }
            Self::Text => text.to_owned(),
        })
    }
}

/// Go writes a float without a fraction as an integer, and Kubernetes reads it back as one.
fn json_float(value: f64) -> Option<Number> {
    if value.fract() == 0.0 && value.abs() < 1e21 {
        let text = value.to_string();
        if let Ok(whole) = text.parse::<i64>() {
            return Some(whole.into());
        }
    }
    Number::from_f64(value)
}

/// Standard base64 with padding; line breaks are skipped. `None` when it is not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let last = bytes.len() / 4;
    for (index, quad) in bytes.chunks_exact(4).enumerate() {
        let padding = if index + 1 == last { quad.iter().rev().take_while(|b| **b == b'=').count() } else { 0 };
        if padding > 2 {
            return None;
        }
        let mut bits = 0u32;
        for byte in &quad[..4 - padding] {
            let six = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        bits <<= 6 * padding as u32;
        out.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_padding_only() {
        assert_eq!(base64("aGk=").as_deref(), Some(&b"hi"[..]));
        assert_eq!(base64("aGk").as_deref(), None);
        assert_eq!(base64("aG\nk=").as_deref(), Some(&b"hi"[..]));
        assert_eq!(base64("aGkh").as_deref(), Some(&b"hi!"[..]));
        assert_eq!(base64("aA==").as_deref(), Some(&b"h"[..]));
        assert_eq!(base64("a===").as_deref(), None);
        assert_eq!(base64("").as_deref(), Some(&b""[..]));
    }
}
