//! The shapes that a search covers, and the cells of the grid that cover a shape.
//!
//! A search looks at the cell around the shape's middle and at its eight neighbours, at the finest grid on which these nine
//! contain the shape; those that lie outside the shape's bounding box are left out. Which cells are searched decides which
//! members a `COUNT ... ANY` finds and in which order an unsorted reply comes, so the estimate is the one of Redis,
//! including its habit of taking one more step down near the edge of a cell.

use super::{degrees, radians, Area, Cell, Origin, Place, EARTH_RADIUS_METERS, LATITUDE_MAX, STEPS_MAX};

/// Half the Earth's circumference in the web Mercator projection.
const MERCATOR_MAX_METERS: f64 = 20_037_726.37;

/// What is searched; lengths are in metres.
#[derive(Clone, Debug)]
pub enum Outline {
    Circle {
        radius: f64,
    },
    Rectangle {
        width: f64,
        height: f64,
    },
    /// Vertices in order; the last is joined to the first. Edges are straight lines on the map, not on the sphere.
    Polygon(Vec<Place>),
}

/// An outline around its middle.
#[derive(Clone, Debug)]
pub struct Shape {
    origin: Origin,
    outline: Outline,
}

impl Shape {
    /// A polygon gets a middle that is not its own.
    pub fn around(middle: Place, outline: Outline) -> Shape {
        Shape { origin: Origin::new(middle), outline }
    }

    /// Its middle is the mean of the vertices, taken in space and brought back to the sphere.
    pub fn polygon(vertices: Vec<Place>) -> Shape {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for vertex in &vertices {
            let (longitude, latitude) = (radians(vertex.longitude), radians(vertex.latitude));
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let middle = Place { longitude: degrees(y.atan2(x)), latitude: degrees(z.atan2((x * x + y * y).sqrt())) };
        Shape { origin: Origin::new(middle), outline: Outline::Polygon(vertices) }
    }

    /// The distance of a place from the shape's middle, if it is in the shape.
    #[inline]
    pub fn distance_within(&self, place: Place) -> Option<f64> {
        match &self.outline {
            Outline::Circle { radius } => {
                if self.is_far(place, *radius) {
                    return None;
                }
                let distance = self.origin.distance_meters(place);
                // Negated so that a radius without an order against the distance includes it, as in Redis.
                #[allow(clippy::neg_cmp_op_on_partial_ord)]
                (!(distance > *radius)).then_some(distance)
            }
            Outline::Rectangle { width, height } => {
                let beside = Place { longitude: self.origin.place.longitude, latitude: place.latitude };
                if self.origin.latitude_distance_meters(place) > height / 2.0
                    || place.distance_meters(beside) > width / 2.0
                {
                    return None;
                }
                Some(self.origin.distance_meters(place))
            }
            Outline::Polygon(vertices) => contains(vertices, place).then(|| self.origin.distance_meters(place)),
        }
    }

    /// Whether the parallels alone are further apart than the radius: spares the trigonometry for most of what a cell holds
    /// beside the circle. Leaves room for rounding, and does not try where the formula itself becomes inexact.
    #[inline]
    fn is_far(&self, place: Place, radius: f64) -> bool {
        radius < 5_000_000.0 && self.origin.latitude_distance_meters(place) > radius * 1.000_001 + 0.001
    }

    /// The shape's bounding box.
    fn bounds(&self) -> Area {
        let (half_width, half_height) = match &self.outline {
            Outline::Circle { radius } => (*radius, *radius),
            Outline::Rectangle { width, height } => (width / 2.0, height / 2.0),
            Outline::Polygon(vertices) => return bounds_of(vertices),
        };
        let Place { longitude, latitude } = self.origin.place;
        let latitude_delta = degrees(half_height / EARTH_RADIUS_METERS);
        // A degree of longitude is shortest on the side of the nearer pole.
        let widest = if latitude < 0.0 { latitude - latitude_delta } else { latitude + latitude_delta };
        let longitude_delta = degrees(half_width / EARTH_RADIUS_METERS / radians(widest).cos());
        Area {
            longitude_min: longitude - longitude_delta,
            longitude_max: longitude + longitude_delta,
            latitude_min: latitude - latitude_delta,
            latitude_max: latitude + latitude_delta,
        }
    }

    /// How far the shape reaches from its middle.
    fn reach_meters(&self, bounds: &Area) -> f64 {
        match &self.outline {
            Outline::Circle { radius } => *radius,
            Outline::Rectangle { width, height } => {
                ((width / 2.0) * (width / 2.0) + (height / 2.0) * (height / 2.0)).sqrt()
            }
            Outline::Polygon(_) => {
                let corner = |longitude, latitude| self.origin.distance_meters(Place { longitude, latitude });
                [bounds.longitude_min, bounds.longitude_max]
                    .into_iter()
                    .flat_map(|longitude| [bounds.latitude_min, bounds.latitude_max].map(|l| corner(longitude, l)))
                    .fold(0.0, f64::max)
            }
        }
    }

    /// The cells to search, in order; a cell may come twice, though not in a row, when the grid is coarse.
    pub fn cells(&self) -> Vec<Cell> {
        let bounds = self.bounds();
        let middle = self.origin.place;
        let mut steps = steps_for(self.reach_meters(&bounds), middle.latitude);
        // The middle of a polygon around a pole is beyond what the grid covers.
        let middle = Place { latitude: middle.latitude.clamp(-LATITUDE_MAX, LATITUDE_MAX), ..middle };
        let mut cell = Cell::around(middle, steps);
        if steps > 1 && !covers(cell, &bounds) {
            steps -= 1;
            cell = Cell::around(middle, steps);
        }
        let area = cell.area();
        let wanted = |east: i32, north: i32| {
            steps < 2
                || !((north < 0 && area.latitude_min < bounds.latitude_min)
                    || (north > 0 && area.latitude_max > bounds.latitude_max)
                    || (east < 0 && area.longitude_min < bounds.longitude_min)
                    || (east > 0 && area.longitude_max > bounds.longitude_max))
        };
        const ORDER: [(i32, i32); 9] = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];
        let mut cells: Vec<Cell> = Vec::with_capacity(9);
        for (east, north) in ORDER {
            let next = cell.neighbour(east, north);
            // On the coarsest grids neighbours coincide. The second place in the order is never compared with the first:
            // members found twice are part of what clients of Redis see.
            let repeated = cells.len() > 1 && cells.last() == Some(&next);
            if wanted(east, north) && !repeated {
                cells.push(next);
            }
        }
        cells
    }
}

/// The finest grid on which a cell and its neighbours cover so many metres around a place, by estimate.
fn steps_for(mut range_meters: f64, latitude: f64) -> u32 {
    if range_meters == 0.0 {
        return STEPS_MAX;
    }
    let mut steps: i32 = 1;
    while range_meters < MERCATOR_MAX_METERS {
        range_meters *= 2.0;
        steps += 1;
    }
    steps -= 2;
    // Towards the poles a cell is narrower.
    steps -= i32::from(latitude.abs() > 66.0) + i32::from(latitude.abs() > 80.0);
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// Whether the outer edges of a cell's neighbours contain the box.
fn covers(cell: Cell, bounds: &Area) -> bool {
    !(cell.neighbour(0, 1).area().latitude_max < bounds.latitude_max
        || cell.neighbour(0, -1).area().latitude_min > bounds.latitude_min
        || cell.neighbour(1, 0).area().longitude_max < bounds.longitude_max
        || cell.neighbour(-1, 0).area().longitude_min > bounds.longitude_min)
}

fn bounds_of(vertices: &[Place]) -> Area {
    let extreme = |start: f64, coordinate: fn(&Place) -> f64, choose: fn(f64, f64) -> f64| {
        vertices.iter().map(coordinate).fold(start, choose)
    };
    Area {
        longitude_min: extreme(f64::INFINITY, |vertex| vertex.longitude, f64::min),
        longitude_max: extreme(f64::NEG_INFINITY, |vertex| vertex.longitude, f64::max),
        latitude_min: extreme(f64::INFINITY, |vertex| vertex.latitude, f64::min),
        latitude_max: extreme(f64::NEG_INFINITY, |vertex| vertex.latitude, f64::max),
    }
}

/// Whether a ray from the place to the east crosses the polygon's edges an odd number of times.
fn contains(vertices: &[Place], place: Place) -> bool {
    let Some(mut previous) = vertices.last() else { return false };
    let mut inside = false;
    for vertex in vertices {
        if (vertex.latitude > place.latitude) != (previous.latitude > place.latitude) {
            let slope = (previous.longitude - vertex.longitude) * (place.latitude - vertex.latitude)
                / (previous.latitude - vertex.latitude);
            inside ^= place.longitude < slope + vertex.longitude;
        }
        previous = vertex;
    }
    inside
}
