//! Factors of tracks, learnt by alternating least squares for implicit feedback (Hu, Koren, Volinsky 2008) as `discorec`
//! does it by conjugate gradients, and the vector of anybody's liking within them.

use discorec::RecommenderBuilder;

use crate::ModelError;
use crate::model::Content;
use crate::training::TrainingOptions;

/// Factors in the form in which they are asked.
#[derive(Debug)]
pub(crate) struct Factors {
    width: usize,
    values: Vec<f32>,
    lengths: Vec<f32>,
    /// `YᵀY + λI`, row by row.
    gram: Vec<f64>,
    alpha: f64,
}

/// Learns factors; none if there is too little to learn from, or if the calculation has left the numbers.
pub(crate) fn learn(liked: &[Vec<(u32, f32)>], tracks: usize, options: &TrainingOptions) -> Option<Vec<f32>> {
    let width = options.factors as usize;
    let people = liked.iter().filter(|liked| !liked.is_empty()).count();
    if people < options.people_for_factors || tracks <= 1 {
        return None;
    }
    let set = liked
        .iter()
        .enumerate()
        .flat_map(|(person, liked)| liked.iter().map(move |&(track, weight)| (person, track, weight)));
    let recommender = RecommenderBuilder::new()
        .factors(options.factors)
        .iterations(options.iterations)
        .alpha(options.alpha)
        .regularization(options.regularization)
        .seed(options.seed)
        .fit_implicit(set);
    let mut values = Vec::with_capacity(tracks * width);
    for track in 0..tracks {
        let track = u32::try_from(track).ok()?;
        values.extend_from_slice(recommender.item_factors(&track)?);
    }
    values.iter().all(|value| value.is_finite()).then_some(values)
}

impl Factors {
    /// The factors that a model's content has.
    pub(crate) fn of(content: &Content) -> Result<Option<Self>, ModelError> {
        let width = usize::from(content.width);
        if content.factors.is_empty() {
            return Ok(None);
        }
        if width == 0
            || content.factors.len() != content.tracks.len() * width
            || !content.factors.iter().all(|value| value.is_finite())
            || content.regularization <= 0.0
        {
            return Err(ModelError::Damaged("factors"));
        }
        let mut gram = vec![0.0; width * width];
        for row in content.factors.chunks_exact(width) {
            add_outer(&mut gram, row, 1.0);
        }
        for diagonal in 0..width {
            gram[diagonal * width + diagonal] += f64::from(content.regularization);
        }
        let lengths = content.factors.chunks_exact(width).map(|row| dot(row, row).sqrt()).collect();
        let alpha = f64::from(content.alpha);
        Ok(Some(Self { width, values: content.factors.clone(), lengths, gram, alpha }))
    }

    /// The vector of somebody who likes these tracks, exactly as one step of the training would have it:
    /// `(YᵀCY + λI)⁻¹ YᵀC p`, with `C` = 1 + α·weight. None if nothing is liked.
    pub(crate) fn vector(&self, liked: &[(u32, f32)]) -> Option<Vec<f32>> {
        if liked.is_empty() {
            return None;
        }
        let mut left = self.gram.clone();
        let mut right = vec![0.0; self.width];
        for &(track, weight) in liked {
            let row = self.row(track);
            let more = self.alpha * f64::from(weight);
            add_outer(&mut left, row, more);
            for (sum, value) in right.iter_mut().zip(row) {
                *sum += (1.0 + more) * f64::from(*value);
            }
        }
        solve(&mut left, &mut right)?;
        #[expect(clippy::cast_possible_truncation, reason = "factors are f32")]
        Some(right.into_iter().map(|value| value as f32).collect())
    }

    /// How much the vector's owner is expected to like each track, by track.
    pub(crate) fn scores(&self, vector: &[f32]) -> Vec<f32> {
        self.values.chunks_exact(self.width).map(|row| dot(row, vector)).collect()
    }

    /// How alike two tracks are, -1 to 1.
    pub(crate) fn likeness(&self, one: u32, other: u32) -> f32 {
        let lengths = self.lengths[one as usize] * self.lengths[other as usize];
        if lengths > 0.0 { dot(self.row(one), self.row(other)) / lengths } else { 0.0 }
    }

    fn row(&self, track: u32) -> &[f32] {
        let start = track as usize * self.width;
        &self.values[start..start + self.width]
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

fn add_outer(matrix: &mut [f64], row: &[f32], times: f64) {
    let width = row.len();
    for (line, &one) in matrix.chunks_exact_mut(width).zip(row) {
        let one = times * f64::from(one);
        for (cell, &other) in line.iter_mut().zip(row) {
            *cell += one * f64::from(other);
        }
    }
}

/// Solves a symmetric, positive definite system in place, by Cholesky's method; none if it is not one.
fn solve(matrix: &mut [f64], right: &mut [f64]) -> Option<()> {
    let width = right.len();
    for row in 0..width {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| matrix[row * width + k] * matrix[column * width + k]).sum();
            let rest = matrix[row * width + column] - known;
            matrix[row * width + column] = if row == column {
                if rest <= 0.0 || !rest.is_finite() {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / matrix[column * width + column]
            };
        }
    }
    for row in 0..width {
        let known: f64 = (0..row).map(|k| matrix[row * width + k] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row * width + row];
    }
    for row in (0..width).rev() {
        let known: f64 = (row + 1..width).map(|k| matrix[k * width + row] * right[k]).sum();
        right[row] = (right[row] - known) / matrix[row * width + row];
    }
    Some(())
}
