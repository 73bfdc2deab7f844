//! Windows over an image, means over all of it, and reductions along axes.

use super::{list, no_int8_form, python};
use crate::graph::op::{Pool, PoolGeometry, Reduction};

pub(in super::super) fn float(pool: &Pool, x: &str) -> String {
    match pool {
        Pool::GlobalAverage => format!("torch.adaptive_avg_pool2d({x}, [1, 1])"),
        Pool::SpatialMean => format!("torch.mean({x}, [2, 3])"),
        Pool::Average { geometry: g, count_include_pad } => format!(
            "torch.avg_pool2d({x}, {}, {}, {}, None)",
            window(g),
            python(g.ceil_mode),
            python(*count_include_pad)
        ),
        Pool::Max(g) => {
            format!("torch.max_pool2d({x}, {}, {}, {})", window(g), list(&g.dilation), python(g.ceil_mode))
        }
        Pool::Reduce { how, axes, keep } => reduce(*how, axes, *keep, x),
    }
}

/// The parameters of what is given are those of the tensor that is taken.
pub(in super::super) fn int8(pool: &Pool, x: &str) -> String {
    match pool {
        Pool::GlobalAverage | Pool::Average { .. } | Pool::Max(_) => float(pool, x),
        // The quantized mean refuses some layouts of images that have shrunk to a single pixel.
        Pool::SpatialMean => format!("torch.flatten(torch.adaptive_avg_pool2d({x}, [1, 1]), 1)"),
        Pool::Reduce { how, .. } => no_int8_form(how.torch_name()),
    }
}

/// The mean over a whole image of this size, pixel after pixel: a window as large as the image is the faster form.
pub(in super::super) fn whole_mean(x: &str, [height, width]: [usize; 2]) -> String {
    format!("torch.avg_pool2d({x}, [{height}, {width}], [1, 1], [0, 0], False, True, None)")
}

fn window(g: &PoolGeometry) -> String {
    format!("{}, {}, {}", list(&g.kernel), list(&g.stride), list(&g.padding))
}

/// PyTorch multiplies along one axis at a time.
fn reduce(how: Reduction, axes: &[usize], keep: bool, x: &str) -> String {
    let (name, keep) = (how.torch_name(), python(keep));
    match how {
        Reduction::Prod => axes.iter().rev().fold(x.to_owned(), |x, axis| format!("torch.prod({x}, {axis}, {keep})")),
        Reduction::Sum | Reduction::Mean | Reduction::Max | Reduction::Min | Reduction::LogSumExp => {
            format!("torch.{name}({x}, {}, {keep})", list(axes))
        }
    }
}
