//! One walk over the parameters of a request, with the parser that the tools use, so that both see the same.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use stagedoor_domain::text::{clean, composed, first_control};
use stagedoor_domain::{ErrorCode, PublicError};

use super::{InputSanitizer, Verdict, holds_texts};

/// Names that the parser itself gives a meaning to: behind one of them it would take a string for JSON.
const RESERVED: &str = "$serde_json::";

/// Reads parameters from their JSON text.
pub(super) fn read(text: &str) -> Result<Verdict, PublicError> {
    let mut walk = Walk::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Step(&mut walk).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match read {
        Ok(()) if walk.to_mend => Ok(Verdict::ToMend),
        Ok(()) => Ok(Verdict::Fit),
        Err(error) => {
            let fault = walk.fault.take().unwrap_or_else(|| Fault::Unreadable(without_position(&error)));
            Err(refusal(&walk.path, &fault))
        }
    }
}

#[derive(Default)]
struct Walk<'de> {
    /// Where it is.
    path: Vec<Place<'de>>,
    values: usize,
    to_mend: bool,
    fault: Option<Fault>,
}

enum Place<'de> {
    Member(Cow<'de, str>),
    Element(usize),
}

enum Fault {
    Control(char),
    LongString(usize),
    LongName,
    MisleadingName,
    Twice,
    TooMany,
    Unreadable(String),
}

impl Walk<'_> {
    /// Stops the walk; the error that goes through the parser says nothing.
    fn stop<E: Error>(&mut self, fault: Fault) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }

    fn name<E: Error>(&mut self, name: &str) -> Result<(), E> {
        if name.len() > InputSanitizer::LONGEST_NAME {
            return Err(self.stop(Fault::LongName));
        }
        let is_plain = first_control(name).is_none() && matches!(composed(name), Cow::Borrowed(_));
        if !is_plain || name.starts_with(RESERVED) {
            return Err(self.stop(Fault::MisleadingName));
        }
        Ok(())
    }

    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        if text.len() > InputSanitizer::LONGEST_STRING {
            return Err(self.stop(Fault::LongString(text.len())));
        }
        if let Some(control) = first_control(text) {
            return Err(self.stop(Fault::Control(control)));
        }
        let in_texts = || matches!(self.path.first(), Some(Place::Member(name)) if holds_texts(name));
        if !self.to_mend && in_texts() && matches!(composed(text), Cow::Owned(_)) {
            self.to_mend = true;
        }
        Ok(())
    }
}

/// One value.
struct Step<'walk, 'de>(&'walk mut Walk<'de>);

impl<'de> DeserializeSeed<'de> for Step<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.values += 1;
        if self.0.values > InputSanitizer::MOST_VALUES {
            return Err(self.0.stop(Fault::TooMany));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Step<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.0.path.push(Place::Element(index));
            if elements.next_element_seed(Step(self.0))?.is_none() {
                self.0.path.pop();
                break;
            }
            self.0.path.pop();
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(Name(name)) = members.next_key()? {
            self.0.name(&name)?;
            self.0.path.push(Place::Member(name.clone()));
            if !seen.insert(name) {
                return Err(self.0.stop(Fault::Twice));
            }
            members.next_value_seed(Step(self.0))?;
            self.0.path.pop();
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What the agent is told, with the field where it knows it.
fn refusal(path: &[Place<'_>], fault: &Fault) -> PublicError {
    let field = field(path);
    let message = match fault {
        Fault::Control(control) => {
            let code = u32::from(*control);
            format!("{field} has the control character U+{code:04X}, which no text here has.")
        }
        Fault::LongString(bytes) => {
            format!("{field} has {bytes} bytes, but a string may have {}.", InputSanitizer::LONGEST_STRING)
        }
        Fault::LongName => {
            format!("{field} has a member whose name is longer than {} bytes.", InputSanitizer::LONGEST_NAME)
        }
        Fault::MisleadingName => {
            format!("{field} has a member whose name has characters that no name here has.")
        }
        Fault::Twice => format!("{field} stands twice."),
        Fault::TooMany => {
            format!("The parameters have more than {} values.", InputSanitizer::MOST_VALUES)
        }
        Fault::Unreadable(cause) => format!("{field} cannot be read: {cause}."),
    };
    PublicError::new(ErrorCode::InvalidArguments, message).hint("Correct the argument and call again.")
}

/// A place as the tools write it: from the arguments on where it is in them, else from the parameters.
fn field(path: &[Place<'_>]) -> String {
    let (root, path) = match path {
        [Place::Member(first), rest @ ..] if first == "arguments" => ("arguments", rest),
        path => ("params", path),
    };
    let mut field = String::new();
    for place in path {
        match place {
            Place::Member(name) => {
                if !field.is_empty() || root == "params" {
                    field.push('.');
                }
                field.push_str(&clean(name, 60));
            }
            Place::Element(index) => {
                // Writing to a text does not fail.
                let _ = write!(field, "[{index}]");
            }
        }
    }
    match (root, field.as_str()) {
        (root, "") => format!("`{root}`"),
        ("params", rest) => format!("`params{rest}`"),
        (_, rest) => format!("`{rest}`"),
    }
}

/// The positions in a text that nobody sees help nobody.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.as_str(), |at| &text[..at]).to_owned()
}
