//! Bytes as they are before they are sealed: compressed if that makes them smaller. `form 1 | length 4 | bytes`, where
//! form 0 is as they are and 1 is zstd, and the length is theirs when unpacked, big-endian.

use crate::error::StoreError;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const HEADER: usize = 5;
const LEVEL: i32 = 3;

/// What one sealed value may hold at most, unpacked.
pub(crate) const MOST: usize = 16 * 1024 * 1024;

/// Packs bytes; `what` names them in the error if they are more than [`MOST`].
pub(crate) fn pack(bytes: &[u8], what: &'static str) -> Result<Vec<u8>, StoreError> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MOST);
    let length = length.ok_or_else(|| StoreError::not_understood(what, format!("{} bytes", bytes.len())))?;
    let compressed = zstd::bulk::compress(bytes, LEVEL).ok().filter(|smaller| smaller.len() < bytes.len());
    let (form, body) = compressed.as_deref().map_or((PLAIN, bytes), |smaller| (ZSTD, smaller));
    Ok([&[form][..], &length.to_be_bytes(), body].concat())
}

/// Unpacks what [`pack`] made.
pub(crate) fn unpack(packed: &[u8], what: &'static str) -> Result<Vec<u8>, StoreError> {
    let damaged = || StoreError::not_understood(what, "something else than packed bytes");
    let (header, body) = packed.split_at_checked(HEADER).ok_or_else(damaged)?;
    let [form, length @ ..] = header else { return Err(damaged()) };
    let length = <[u8; 4]>::try_from(length).map_err(|_| damaged())?;
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(|_| damaged())?;
    if length > MOST {
        return Err(damaged());
    }
    let bytes = match *form {
        PLAIN => body.to_vec(),
        ZSTD => zstd::bulk::decompress(body, length).map_err(|_| damaged())?,
        _ => return Err(damaged()),
    };
    if bytes.len() == length { Ok(bytes) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_nothing_else() {
        let sevens = vec![7; 100_000];
        for bytes in [&b""[..], b"x", &sevens, &(0..=255).collect::<Vec<u8>>()] {
            let packed = pack(bytes, "test").unwrap();
            assert!(packed.len() <= bytes.len() + HEADER);
            assert_eq!(unpack(&packed, "test").unwrap(), bytes);
            assert!(unpack(&packed[..packed.len() - 1], "test").is_err());
            let longer = [&packed[..1], &u32::MAX.to_be_bytes(), &packed[HEADER..]].concat();
            assert!(unpack(&longer, "test").is_err());
        }
        assert!(pack(&sevens, "test").unwrap().len() < 100);
        assert!(pack(&vec![0; MOST + 1], "test").is_err());
        assert!(unpack(&[2, 0, 0, 0, 0], "test").is_err());
        let bomb = zstd::bulk::compress(&vec![0; 1 << 20], LEVEL).unwrap();
        assert!(unpack(&[&[ZSTD, 0, 0, 0, 9][..], &bomb].concat(), "test").is_err());
    }
}
