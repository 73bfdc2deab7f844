use requant::base::files;
use requant::base::rng::Stream;
use requant::codec::onnx::{self, ImportError};

fn model() -> Vec<u8> {
    files::read(&lab::root().join("experiments/models/digits-mobilenet_v3_small.onnx")).unwrap()
}

#[test]
fn a_cut_file_is_refused_at_any_length() {
    let whole = model();
    for percent in 0..100 {
        assert!(onnx::read(&whole[..whole.len() * percent / 100]).is_err(), "cut to {percent} %");
    }
    assert!(onnx::read(&whole).is_ok());
}

#[test]
fn damaged_bytes_never_panic() {
    let whole = model();
    let mut stream = Stream::named(1, "damage");
    // The structure lies before and after the weights, in the first and the last kilobytes.
    for _ in 0..400 {
        let mut damaged = whole.clone();
        for _ in 0..4 {
            let near = stream.below(24_000);
            let at = if stream.below(2) == 0 { near } else { damaged.len() - 1 - near };
            damaged[at] = u8::try_from(stream.below(256)).unwrap();
        }
        let _ = onnx::read(&damaged).map(|model| requant::graph::pass::run_all(model.graph).is_ok());
    }
}

#[test]
fn an_unknown_operator_is_named_with_its_node_and_opset() {
    let mut bytes = model();
    let at = bytes.windows(9).position(|window| window == b"HardSwish").unwrap();
    // The first occurrence may be part of a name; the operator is the one that stands alone.
    let operator = (at..bytes.len() - 10).find(|&i| &bytes[i..i + 9] == b"HardSwish" && bytes[i - 1] == 9).unwrap();
    bytes[operator..operator + 9].copy_from_slice(b"HardTwist");
    match onnx::read(&bytes).unwrap_err() {
        ImportError::Unsupported { node, operator, opset } => {
            assert_eq!((operator.as_str(), opset), ("HardTwist", 17));
            assert!(node.starts_with("/features/features.0/"), "{node}");
        }
        other => panic!("{other}"),
    }
}
