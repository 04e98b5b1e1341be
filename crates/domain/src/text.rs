//! Provider and agent text made safe to hand on: control, bidirectional, zero-width and tag characters go,
//! length is capped. What is left is still data, never instructions. Also one form for texts that ask the same.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text without invisible or reordering characters, at most `max_chars` characters long.
///
/// Removes C0/C1 controls (a line break or tab becomes a space), bidirectional controls, zero-width
/// characters other than the joiner, tag characters (U+E0000–U+E007F), annotations, and letters that show nothing
/// (Hangul fillers, the blank Braille pattern, soft hyphens). A text of which nothing is visible then is empty.
pub fn clean(text: &str, max_chars: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(max_chars * 4));
    for character in text.chars().filter_map(keep).take(max_chars) {
        cleaned.push(character);
    }
    if !cleaned.chars().any(is_visible) {
        return String::new();
    }
    if cleaned.len() == cleaned.trim().len() { cleaned } else { cleaned.trim().to_owned() }
}

/// The text as it is meant, whoever typed it: without characters that show nothing or reorder others, composed (Unicode
/// NFC). Blanks and line breaks stay. Borrowed if it is so already.
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || (!text.chars().any(is_invisible) && is_nfc(text)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|character| !is_invisible(*character)).nfc().collect())
}

/// The first character that nobody types: a control other than tab and line breaks (C0, DEL, C1).
pub fn first_control(text: &str) -> Option<char> {
    text.chars().find(|character| character.is_control() && !matches!(character, '\t' | '\n' | '\r'))
}

/// Whether some character of the text shows nothing by itself or reorders those around it.
pub fn has_invisible(text: &str) -> bool {
    !text.is_ascii() && text.chars().any(is_invisible)
}

/// The text with one blank where there were several.
pub fn joined(text: &str) -> Cow<'_, str> {
    let single = |(index, character): (usize, char)| {
        !character.is_whitespace() || (character == ' ' && index > 0 && !text[..index].ends_with(' '))
    };
    if text.char_indices().all(single) && !text.ends_with(' ') {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The text as a question that is the same however it is written: composed (Unicode NFC), in lower case, with one blank
/// where there were several.
pub fn folded(text: &str) -> Cow<'_, str> {
    match joined(text) {
        Cow::Borrowed(text) if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Cow::Borrowed(text)
        }
        joined => Cow::Owned(joined.to_lowercase().nfc().collect()),
    }
}

fn keep(character: char) -> Option<char> {
    match character {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => Some(' '),
        character if character.is_control() || is_invisible(character) => None,
        character => Some(character),
    }
}

/// Whether a character shows something by itself; joiners and variation selectors change others only.
fn is_visible(character: char) -> bool {
    !character.is_whitespace()
        && !matches!(character, '\u{200D}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

/// Bidirectional controls, zero-width characters but for the joiner, tag characters, annotations, blank letters.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200B}' | '\u{200C}' | '\u{200E}' | '\u{200F}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
            | '\u{202A}'..='\u{202E}' | '\u{061C}' | '\u{180E}'
            | '\u{00AD}' | '\u{034F}' | '\u{115F}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{FFA0}'
            | '\u{E0000}'..='\u{E007F}' | '\u{FFF9}'..='\u{FFFB}'
    )
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{clean, composed, first_control, folded, has_invisible, joined};

    #[test]
    fn a_text_is_composed_and_keeps_its_lines() {
        for plain in ["", "So What", "a\tb\nc  d", "日本語 👩‍🎤", "Caf\u{e9}"] {
            assert!(
                matches!(composed(plain), Cow::Borrowed(same) if same == plain),
                "{plain:?} costs nothing"
            );
        }
        assert_eq!(composed("Cafe\u{301}\u{200b} \u{2068}del\u{2069}\nMar\u{e0041}"), "Caf\u{e9} del\nMar");
        assert_eq!(composed("e\u{200c}\u{301}"), "\u{e9}", "what is taken out does not keep letters apart");
        assert_eq!(first_control("a\tb\r\nc"), None);
        for (text, control) in
            [("a\0", '\0'), ("\u{7f}a", '\u{7f}'), ("é\u{85}", '\u{85}'), ("\u{1b}[0m", '\u{1b}')]
        {
            assert_eq!(first_control(text), Some(control), "{text:?}");
        }
        assert!(has_invisible("a\u{202e}") && !has_invisible("日本語"));
    }

    #[test]
    fn a_question_is_the_same_however_it_is_written() {
        for text in ["Café Del Mar", "  CAFÉ  del\tmar ", "Cafe\u{301} del Mar"] {
            assert_eq!(folded(text), "café del mar", "{text:?}");
        }
        assert_ne!(folded("Cafe del Mar"), "café del mar", "another letter is another question");
        assert_eq!(joined(" So  What\n"), "So What", "the case is kept");
        for plain in ["so what", "a", "", "x y z"] {
            assert!(matches!(folded(plain), Cow::Borrowed(same) if same == plain), "{plain:?} costs nothing");
        }
        for blank in [" a", "a ", "a  b", "a\u{A0}b", "a\tb"] {
            assert_eq!(joined(blank), blank.split_whitespace().collect::<Vec<_>>().join(" "), "{blank:?}");
        }
    }

    #[test]
    fn invisible_orders_do_not_survive() {
        assert_eq!(clean("Blue\u{202E}\u{200B} Train\n\u{E0041}\u{7}", 80), "Blue Train");
        assert_eq!(clean("日本語 👩‍🎤", 80), "日本語 👩‍🎤");
        assert_eq!(clean("abcdef", 3), "abc");
        assert_eq!(clean("Ro\u{AD}b\u{34F}i\u{3164}n\u{2800}\u{115F}\u{1160}\u{FFA0}\u{180E}", 80), "Robin");
        for nothing in ["\u{200D}\u{200D}", "\u{A0}\u{3000} \u{200D}", "\u{3164}\u{2800}", "\u{FE0F}"] {
            assert_eq!(clean(nothing, 80), "", "{nothing:?}");
        }
    }
}
