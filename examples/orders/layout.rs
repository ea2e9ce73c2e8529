//! Which processes there are, and where each is reached.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use clap::ValueEnum;

/// A service, of one process or several that replicate its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Service {
    /// Takes orders, and has the sagas carried out.
    Orders,
    /// Charges customers.
    Payment,
    /// Has the goods.
    Stock,
    /// Sends parcels.
    Shipping,
}

impl Service {
    pub(crate) const ALL: [Self; 4] = [Self::Orders, Self::Payment, Self::Stock, Self::Shipping];

    /// Returns its name, which is its cluster's and its group's too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Payment => "payment",
            Self::Stock => "stock",
            Self::Shipping => "shipping",
        }
    }

    /// Returns its processes.
    pub(crate) fn members(self) -> impl Iterator<Item = Member> {
        let count = match self {
            Self::Orders | Self::Payment | Self::Stock => 3,
            Self::Shipping => 1,
        };
        (1..=count).map(move |node| Member { service: self, node })
    }

    /// Returns how many processes stand before its first.
    fn before(self) -> u16 {
        match self {
            Self::Orders => 0,
            Self::Payment => 3,
            Self::Stock => 6,
            Self::Shipping => 9,
        }
    }
}

/// A process: a node of a service, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    pub(crate) service: Service,
    pub(crate) node: u16,
}

impl Member {
    /// Returns all processes.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Service::ALL.into_iter().flat_map(Service::members)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service.name(), self.node)
    }
}

/// Where processes are reached, all on loopback. In a real shop this is what names resolve to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    base_port: u16,
}

impl Layout {
    pub(crate) fn new(base_port: u16) -> Self {
        Self { base_port }
    }

    /// Finds a row of ports that nobody has; it is another one in another process.
    pub(crate) fn free() -> Option<Self> {
        // They lie below those that systems give to outgoing connections, which would take the port
        // of a process that is down.
        let first = std::process::id().wrapping_mul(7_919) % 50;
        let bases = (0..50).map(|row| 12_000 + (first + row) % 50 * 200);
        let mut layouts = bases.filter_map(|base| u16::try_from(base).ok()).map(Self::new);
        layouts.find(|layout| layout.taken().is_none())
    }

    /// Returns an address that some other process has.
    pub(crate) fn taken(self) -> Option<SocketAddr> {
        let ports = |member| [self.admin(member), self.http(member), self.peer(member)];
        Member::all().flat_map(ports).find(|address| TcpListener::bind(address).is_err())
    }

    pub(crate) fn base_port(self) -> u16 {
        self.base_port
    }

    /// Returns where a node answers operators.
    pub(crate) fn admin(self, member: Member) -> SocketAddr {
        self.address(member, 0)
    }

    /// Returns where a service answers customers and other services.
    pub(crate) fn http(self, member: Member) -> SocketAddr {
        self.address(member, 50)
    }

    /// Returns where a node listens to the others of its service.
    pub(crate) fn peer(self, member: Member) -> SocketAddr {
        self.address(member, 100)
    }

    fn address(self, Member { service, node }: Member, row: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.base_port + row + service.before() + node).into()
    }
}
