//! Is the library the one that these results were tested with?

use super::Case;
use crate::base::finding::{Finding, Verdict};
use crate::manifest::Isa;
use crate::record::Record;

pub(super) fn check(record: &Record) -> Finding {
    let mut case = Case::open("runtime", "Is the PyTorch version a tested one?");
    let runtime = &record.runtime;
    if let Some(reference) = &runtime.reference {
        case.note(format!("{reference} calibrated; PyTorch had no part"));
        if !runtime.is_reference_tested {
            let remedy = "run `cargo xtask runtimes`, and unset the variable that names another library";
            case.against(Verdict::Inconclusive, "it is not the library that requant is tested with".to_owned(), remedy);
        }
        case.note("it chooses its kernels by the CPU: another kind of CPU may round differently".to_owned());
        return case.close();
    }
    if runtime.libtorch.split('+').next() == Some(runtime.libtorch_tested.as_str()) {
        case.note(format!("libtorch {}, the version requant is tested with", runtime.libtorch));
    } else {
        case.against(
            Verdict::Inconclusive,
            format!("libtorch {}, tested with {}", runtime.libtorch, runtime.libtorch_tested),
            "install the tested version with `cargo xtask setup`",
        );
    }
    let scope = match record.settings.compute.isa {
        Isa::Native => "of this CPU: another kind of CPU may round differently",
        Isa::Avx2 if record.format == "2.3" => "as the manifest pins: every x86-64 CPU with AVX2 computes the same",
        Isa::Avx2 => "as the manifest pins: every CPU with AVX2 of the same maker computes the same",
    };
    case.note(format!("kernels for {}, {scope}", runtime.cpu_capability));
    case.close()
}
