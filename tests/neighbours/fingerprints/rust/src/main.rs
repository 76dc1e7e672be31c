//! Prints how apache-avro names each schema, and writes an example of it again as a single object.
//!
//! In: a line "name TAB schema TAB body in hex". Out: a line "apache-avro TAB name TAB single object in hex".
//! The head of the single object is the library's own; the body is read and written by it.

use apache_avro::{from_avro_datum, GenericSingleObjectWriter, Schema};
use std::error::Error;
use std::io::BufRead;

fn from_hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    (0..text.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&text[at..at + 2], 16)?))
        .collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let parts: Vec<&str> = line.split('\t').collect();
        let schema = Schema::parse_str(parts[1])?;
        let value = from_avro_datum(&schema, &mut from_hex(parts[2])?.as_slice(), None)?;
        let mut single = Vec::new();
        GenericSingleObjectWriter::new_with_capacity(&schema, 4096)?.write_value(value, &mut single)?;
        println!("apache-avro\t{}\t{}", parts[0], to_hex(&single));
    }
    Ok(())
}
