//! Writes one field of a subject as JSON, without the others: a policy that wants a sum is not made to wait for every pod.

use std::fmt::Display;

use serde::ser::{self, Impossible, Serialize, SerializeStruct, Serializer};

/// The field `name` of a struct as JSON text without blanks; none when it has no such field.
///
/// # Errors
/// When the value is no struct, or cannot be written.
pub(super) fn member(value: &impl Serialize, name: &str) -> Result<Option<String>, serde_json::Error> {
    value.serialize(Pick { name, found: None })
}

/// A serializer of structs that leaves out all fields but one.
struct Pick<'n> {
    name: &'n str,
    found: Option<String>,
}

type Never = Impossible<Option<String>, serde_json::Error>;
type Picked = Result<Option<String>, serde_json::Error>;

fn no_struct() -> serde_json::Error {
    ser::Error::custom("it has no fields")
}

impl SerializeStruct for Pick<'_> {
    type Ok = Option<String>;
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Self::Error> {
        if key == self.name {
            self.found = Some(serde_json::to_string(value)?);
        }
        Ok(())
    }

    fn end(self) -> Picked {
        Ok(self.found)
    }
}

/// Methods for everything that is no struct.
macro_rules! refuse {
    ($($method:ident($($type:ty),*);)*) => {
        $(fn $method(self, $(_: $type),*) -> Picked {
            Err(no_struct())
        })*
    };
}

impl Serializer for Pick<'_> {
    type Ok = Option<String>;
    type Error = serde_json::Error;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Self;
    type SerializeStructVariant = Never;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    refuse! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Picked {
        Err(no_struct())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Picked {
        Err(no_struct())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Picked {
        Err(no_struct())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, Self::Error> {
        Err(no_struct())
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, Self::Error> {
        Err(no_struct())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Never, Self::Error> {
        Err(no_struct())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Never, Self::Error> {
        Err(no_struct())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, Self::Error> {
        Err(no_struct())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Never, Self::Error> {
        Err(no_struct())
    }

    fn collect_str<T: Display + ?Sized>(self, _: &T) -> Picked {
        Err(no_struct())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_is_written_and_what_has_none_is_refused() {
        #[derive(serde::Serialize)]
        struct Subject {
            many: Vec<u8>,
            #[serde(rename = "other")]
            one: Option<&'static str>,
        }
        let subject = Subject { many: vec![1, 2], one: None };
        assert_eq!(member(&subject, "many").unwrap().as_deref(), Some("[1,2]"));
        assert_eq!(member(&subject, "other").unwrap().as_deref(), Some("null"));
        assert_eq!(member(&subject, "one").unwrap(), None);
        assert!(member(&vec![subject], "0").is_err());
    }
}
