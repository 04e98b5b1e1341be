//! `resolve`: what an ISRC, a UPC or a link stands for at a provider.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stagedoor_domain::music::{Album, Artist, Track};
use stagedoor_domain::{EntityKind, Provider, PublicError, Reference, TenantContext, ToolName};

use crate::arguments::invalid;
use crate::desk::Desk;
use crate::origin::Origin;
use crate::passing::{InPassing, Passing};
use crate::preferred::Preferred;
use crate::reuse::{Produced, Question, catalogue_key};

/// What to resolve.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveArguments {
    /// `isrc:CODE`, `upc:CODE`, a link or a reference.
    #[serde(rename = "ref")]
    reference: String,
    /// Where to look a code up.
    provider: Option<Provider>,
}

/// What it stands for. Several tracks may carry one ISRC; none at all is an empty answer, not an error.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct ResolveOutput {
    /// The reference in its plain form.
    #[serde(rename = "ref")]
    reference: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tracks: Vec<Track>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    albums: Vec<Album>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    artists: Vec<Artist>,
    /// When the provider said so (RFC 3339).
    cached_at: String,
}

/// Albums do not come in the form of `album_get`, which has their tracks.
impl InPassing for ResolveOutput {
    fn in_passing(&self) -> Passing {
        Passing { tracks: self.tracks.clone(), artists: self.artists.clone() }
    }

    fn finds_nothing(&self) -> bool {
        self.tracks.is_empty() && self.albums.is_empty() && self.artists.is_empty()
    }
}

/// What the answer depends on.
#[derive(Serialize)]
struct Parameters<'a> {
    reference: &'a str,
    country: Option<&'a str>,
    #[serde(flatten)]
    preferred: Preferred,
}

pub(crate) async fn run(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    arguments: ResolveArguments,
) -> Produced {
    let reference: Reference =
        arguments.reference.parse().map_err(|error| invalid(format!("`ref`: {error}.")))?;
    let provider = match (&reference, arguments.provider) {
        (Reference::Item(item), Some(named)) if item.provider() != named => {
            return Err(invalid(format!(
                "`ref` is an item of {}, but `provider` is {named}.",
                item.provider()
            )));
        }
        (Reference::Item(item), _) => item.provider(),
        (Reference::Isrc(_) | Reference::Upc(_), named) => desk.choose_provider(ctx, named).await?,
    };
    let country = desk.country(ctx, provider).await?;
    let text = reference.to_string();
    let preferred = match &reference {
        // What is explicit is shown to whoever asks for it by its code.
        Reference::Isrc(_) | Reference::Upc(_) => {
            Preferred::of(&desk.preferences(ctx).await, &[provider]).of_quality()
        }
        Reference::Item(_) => Preferred::default(),
    };
    let parameters = Parameters { reference: &text, country: country.as_deref(), preferred };
    let key = &catalogue_key(ctx, ToolName::Resolve, provider, &parameters)?;
    let question = Question { tool: ToolName::Resolve, key, country: country.as_deref() };
    let look_up = || async {
        let mut found = look_up(desk, ctx, origin, provider, country.as_deref(), &reference).await?;
        preferred.offered_first(&mut found.tracks, &mut found.albums);
        Ok(found)
    };
    desk.cached(ctx, origin, question, look_up).await
}

async fn look_up(
    desk: &Desk,
    ctx: &TenantContext,
    origin: &Origin,
    provider: Provider,
    country: Option<&str>,
    reference: &Reference,
) -> Result<ResolveOutput, PublicError> {
    let mut output =
        ResolveOutput { reference: reference.to_string(), cached_at: desk.now_text(), ..Default::default() };
    match reference {
        Reference::Isrc(code) => {
            output.tracks = desk
                .catalogue(ctx, origin, provider, country, |music, access| async move {
                    music.tracks_by_isrc(ctx, &access.borrow(), code).await
                })
                .await?;
        }
        Reference::Upc(code) => {
            output.albums = desk
                .catalogue(ctx, origin, provider, country, |music, access| async move {
                    music.albums_by_upc(ctx, &access.borrow(), code).await
                })
                .await?;
        }
        Reference::Item(item) => match item.kind() {
            EntityKind::Track => {
                let found = desk
                    .catalogue(ctx, origin, provider, country, async |music, access| {
                        music.track(ctx, &access.borrow(), item).await
                    })
                    .await?;
                output.tracks.push(found);
            }
            EntityKind::Album => {
                let found = desk
                    .catalogue(ctx, origin, provider, country, async |music, access| {
                        music.album(ctx, &access.borrow(), item).await
                    })
                    .await?;
                output.albums.push(found);
            }
            EntityKind::Artist => {
                let found = desk
                    .catalogue(ctx, origin, provider, country, async |music, access| {
                        music.artist(ctx, &access.borrow(), item).await
                    })
                    .await?;
                output.artists.push(found);
            }
            EntityKind::Playlist => {
                return Err(invalid("`ref` is a playlist; playlist_get shows it.".to_owned()));
            }
            EntityKind::Mix => {
                return Err(invalid("`ref` is a mix; mix_items shows it.".to_owned()));
            }
        },
    }
    Ok(output)
}
