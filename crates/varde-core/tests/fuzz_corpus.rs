//! The fuzzer's committed corpus, through the fuzzer's functions: what was found once stays mended.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

#[test]
fn the_corpus_of_every_target_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let mut inputs = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| {
                target(&bytes);
                // What was cut off or put together anew on the way is as foreign as the whole.
                for cut in [0, 1, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
                    target(&bytes[..cut.min(bytes.len())]);
                    target(&[&bytes[cut.min(bytes.len())..], &bytes[..cut.min(bytes.len())]].concat());
                }
            });
            assert!(outcome.is_ok(), "{}", path.display());
            inputs += 1;
        }
        assert!(inputs >= 5, "{name} has {inputs} inputs");
    }
    assert_eq!(fs::read_dir(&corpus).unwrap().count(), targets::TARGETS.len());
}
