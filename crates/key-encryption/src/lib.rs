//! Where key-encryption keys are: a mounted Secret, a passphrase, Vault or OpenBao transit, and a ring of several. What
//! they wrap and how is `crypto`'s; which data keys there are is `storage`'s.
#![warn(missing_docs)]

pub mod directory;
pub mod passphrase;
pub mod ring;
pub mod transit;

pub use directory::{DirectoryKeys, KeyFilesError, KeySource, KeyState, KeyVersion, key_versions, wrapping};
pub use passphrase::{PassphraseKeys, PassphraseKeysError};
pub use ring::{KeyPlace, KeyPlaces, KeyRing, NoSuchPlace};
pub use transit::{TransitError, TransitKeys, TransitLogin, TransitOptions};
