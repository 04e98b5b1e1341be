//! Texts made comparable: small letters without accents and signs, and the numbers in them. No I/O.

use unicode_normalization::UnicodeNormalization;

/// Words after which a single `I`, `V` or `X` is a number.
const COUNTED: [&str; 12] =
    ["part", "no", "volume", "op", "act", "book", "chapter", "movement", "scene", "teil", "kapitel", "phase"];

/// The words of a text: in small letters, without accents and signs; `&` is `and`.
pub(super) fn words(text: &str) -> Vec<String> {
    folded(text).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The words of a list of names, with `and` between them.
pub(super) fn listed(text: &str) -> Vec<String> {
    words(&text.replace([',', ';', '/'], " and "))
}

/// Folded text without what services write as they like: blanks, a leading `the`, `Pt.` for `Part`, `II` for `2`.
pub(super) fn key(text: &str) -> String {
    canonical(text).concat()
}

/// The numbers of a folded text, in their order.
pub(super) fn numbers(text: &str) -> Vec<String> {
    let text = canonical(text).join(" ");
    text.split(|character: char| !character.is_numeric())
        .filter(|number| !number.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What is left of a text that has no letters: `÷`, `!!!`.
pub(super) fn signs(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .filter(|sign| !sign.is_whitespace() && !matches!(sign, '(' | ')' | '[' | ']' | '{' | '}'))
        .collect()
}

fn canonical(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let all: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    for (index, word) in all.iter().enumerate() {
        let counted = found.last().is_some_and(|before| COUNTED.contains(&before.as_str()));
        let word = match *word {
            "the" if index == 0 && all.len() > 1 => continue,
            "pt" | "pts" | "parts" => "part".to_owned(),
            "nr" | "number" => "no".to_owned(),
            "vol" => "volume".to_owned(),
            "opus" => "op".to_owned(),
            "n" => "and".to_owned(),
            word => match roman(word).filter(|_| counted || word.len() > 1) {
                Some(number) => number.to_string(),
                None if word.bytes().all(|byte| byte.is_ascii_digit()) => without_zeros(word),
                None => word.to_owned(),
            },
        };
        found.push(word);
    }
    found
}

fn without_zeros(number: &str) -> String {
    let number = number.trim_start_matches('0');
    if number.is_empty() { "0".to_owned() } else { number.to_owned() }
}

/// A Roman numeral up to 39.
fn roman(word: &str) -> Option<usize> {
    const ONES: [&str; 10] = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"];
    let ones = word.trim_start_matches('x');
    // `ix` begins with an `i`: no `x` is lost to the tens.
    let tens = word.len() - ones.len();
    let ones = ONES.iter().position(|written| *written == ones)?;
    (tens <= 3 && tens + ones > 0).then_some(10 * tens + ones)
}

fn folded(text: &str) -> String {
    let letters: Vec<char> = text.nfkd().filter(|letter| !is_accent(*letter)).nfc().collect();
    let mut folded = String::with_capacity(text.len());
    for (index, &letter) in letters.iter().enumerate() {
        let before = |back: usize| index.checked_sub(back).map(|at| letters[at]);
        let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let inside = is_word(before(1)) && is_word(letters.get(index + 1).copied());
        for letter in letter.to_lowercase() {
            match letter {
                'ø' => folded.push('o'),
                'ł' => folded.push('l'),
                'đ' | 'ð' => folded.push('d'),
                'ı' => folded.push('i'),
                'ß' => folded.push_str("ss"),
                'æ' => folded.push_str("ae"),
                'œ' => folded.push_str("oe"),
                'þ' => folded.push_str("th"),
                '&' | '+' => folded.push_str(" and "),
                // `P!nk`, `Ke$ha`.
                '!' if inside => folded.push('i'),
                '$' if inside => folded.push('s'),
                '\'' | '’' | '‘' | '`' | '´' => {}
                // `R.E.M.` is one word, `feat.Sia` and `No.2` are two.
                '.' if before(1).is_some_and(char::is_alphabetic) && !is_word(before(2)) => {}
                letter if letter.is_alphanumeric() || is_mark(letter) => folded.push(letter),
                _ => folded.push(' '),
            }
        }
    }
    folded
}

/// What may be left out in writing: accents of European scripts, the points of Hebrew and Arabic.
fn is_accent(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{652}')
}

/// Of other scripts, marks are part of the word.
fn is_mark(letter: char) -> bool {
    unicode_normalization::char::is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_differently_is_the_same() {
        for (one, other) in [
            ("Op. 27 No. 2", "Op.27 No.2"),
            ("Opening Pt. II", "Opening, Part 2"),
            ("Track 01", "track 1"),
            ("Part I", "Pt. 1"),
            ("R.E.M.", "REM"),
            ("Guns N' Roses", "Guns & Roses"),
            ("The Beatles", "Beatles"),
            ("P!nk", "Pink"),
        ] {
            assert_eq!(key(&folded(one)), key(&folded(other)), "{one} / {other}");
            assert_eq!(numbers(&folded(one)), numbers(&folded(other)), "{one} / {other}");
        }
    }

    #[test]
    fn other_words_and_numbers_stay_apart() {
        for (one, other) in
            [("ガ", "カ"), ("ดี", "ดา"), ("XIX", "XX"), ("I Want", "1 Want"), ("Panic! at", "Panici at")]
        {
            assert_ne!(key(&folded(one)), key(&folded(other)), "{one} / {other}");
        }
        for (one, other) in [("1 12", "11 2"), ("No. 1.5", "No. 15"), ("Part I", "Part II"), ("IX", "XI")] {
            assert_ne!(numbers(&folded(one)), numbers(&folded(other)), "{one} / {other}");
        }
    }

    #[test]
    fn signs_alone_are_kept() {
        assert_eq!((signs("÷"), signs(" (!!!) ")), ("÷".to_owned(), "!!!".to_owned()));
    }
}
