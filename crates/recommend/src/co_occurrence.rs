//! Which tracks the same people like.

/// Of each person only so many of the most liked tracks are paired.
const PAIRED_TRACKS: usize = 300;
/// Neighbours that are kept of each track.
const NEIGHBOURS: usize = 30;
/// People that two tracks must share, so that no pair is one person's.
const SHARED_PEOPLE: u32 = 2;
/// How many shared people make up for chance: likeness is multiplied by shared ÷ (shared + this).
const CHANCE: f32 = 3.0;

/// The neighbours of each track with how alike they are: shared ÷ √(people · people), drawn towards 0 where few share it;
/// the most alike first, then by number. `liked` is by person, heaviest first.
#[expect(clippy::cast_precision_loss, reason = "counts of people")]
pub(crate) fn neighbours(liked: &[Vec<(u32, f32)>], people: &[u32]) -> Vec<Vec<(u32, f32)>> {
    let mut likers: Vec<Vec<u32>> = vec![Vec::new(); people.len()];
    for (person, liked) in (0_u32..).zip(liked) {
        for &(track, _) in liked.iter().take(PAIRED_TRACKS) {
            likers[track as usize].push(person);
        }
    }
    let mut shared = vec![0_u32; people.len()];
    let mut touched: Vec<u32> = Vec::new();
    (0_u32..)
        .zip(&likers)
        .map(|(track, of_track)| {
            for &person in of_track {
                for &(other, _) in liked[person as usize].iter().take(PAIRED_TRACKS) {
                    if shared[other as usize] == 0 {
                        touched.push(other);
                    }
                    shared[other as usize] += 1;
                }
            }
            let mut found: Vec<(u32, f32)> = touched
                .iter()
                .filter(|&&other| other != track && shared[other as usize] >= SHARED_PEOPLE)
                .map(|&other| {
                    let both = shared[other as usize] as f32;
                    let either = (people[track as usize] as f32 * people[other as usize] as f32).sqrt();
                    (other, both / either * (both / (both + CHANCE)))
                })
                .collect();
            for other in touched.drain(..) {
                shared[other as usize] = 0;
            }
            found.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
            found.truncate(NEIGHBOURS);
            found
        })
        .collect()
}
