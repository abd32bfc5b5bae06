fn adler_checksum(text: &str) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = text.bytes().fold((1u32, 0u32), |(low, high), byte| {
        let low = (low + u32::from(byte)) % MODULUS;
        (low, (high ^ low) % MODULUS)
    });
    (high << 16) + low
}
