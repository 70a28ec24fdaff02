//! Sockets on the one configured address. Peers speak on a network of their own: an address that
//! means "every interface" is refused, and so is one that the configured interface does not carry.

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Room for what arrives while the one reader is busy; the kernel's default drops bursts of
/// release files.
const UDP_BUFFER: usize = 2 << 20;
const TCP_BACKLOG: i32 = 128;

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The one address; its port is UDP for peers and TCP for the API.
    pub address: SocketAddr,
    /// The one interface, by name. Without it the address alone decides.
    pub interface: Option<String>,
}

/// The configured address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It would listen on every interface.
    #[error(
        "address {0} means every interface: set `address` to the one address of this host on the cluster's network"
    )]
    Unspecified(SocketAddr),
    /// A typo, or an interface that is not up yet.
    #[error(
        "there is no network interface {name:?} on this host (there are: {present}): correct `interface`, or bring it up before relupd starts"
    )]
    NoInterface {
        /// As configured.
        name: String,
        /// What there is.
        present: String,
    },
    /// Two settings that do not fit.
    #[error(
        "interface {interface:?} does not carry address {address} (it carries: {carried}): correct `address` or `interface`"
    )]
    NotOnInterface {
        /// As configured.
        interface: String,
        /// As configured.
        address: IpAddr,
        /// What it carries.
        carried: String,
    },
    /// No interface has it.
    #[error(
        "no interface of this host carries address {0}: correct `address`, or bring the interface up before relupd starts"
    )]
    NotHere(IpAddr),
    /// Somebody else listens there.
    #[error("{transport} port {address} is taken by another process: find it with `ss -lpn 'sport = {port}'` and stop it, or configure another port", port = address.port())]
    Taken {
        /// UDP or TCP.
        transport: Transport,
        /// Which.
        address: SocketAddr,
    },
    /// Not allowed to.
    #[error(
        "not permitted to {what}: start relupd as its systemd unit does, which grants the capabilities it needs"
    )]
    NotPermitted {
        /// What was refused.
        what: String,
        /// By the system.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot listen on {transport} {address}")]
    Io {
        /// UDP or TCP.
        transport: Transport,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// UDP for peers, TCP for the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// QUIC between daemons.
    Udp,
    /// gRPC.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

impl Binding {
    /// Whether the settings can be used on this host, before anything is bound.
    ///
    /// # Errors
    /// Which setting is wrong, and what would be right.
    pub fn check(&self) -> Result<(), BindError> {
        if self.address.ip().is_unspecified() {
            return Err(BindError::Unspecified(self.address));
        }
        let Some(name) = &self.interface else { return Ok(()) };
        let addresses: Vec<InterfaceAddress> =
            getifaddrs().map_err(|errno| self.io_error(Transport::Udp, errno.into()))?.collect();
        let ours: Vec<&InterfaceAddress> =
            addresses.iter().filter(|entry| entry.interface_name == *name).collect();
        if ours.is_empty() {
            let present = listed(addresses.iter().map(|entry| entry.interface_name.clone()));
            return Err(BindError::NoInterface { name: name.clone(), present });
        }
        if !ours.iter().any(|entry| carries(entry, self.address.ip())) {
            let carried = listed(ours.iter().filter_map(|entry| ip_of(entry)).map(|ip| ip.to_string()));
            let (interface, address) = (name.clone(), self.address.ip());
            return Err(BindError::NotOnInterface { interface, address, carried });
        }
        Ok(())
    }

    /// A bound UDP socket.
    ///
    /// # Errors
    /// Which setting is wrong, or who is in the way.
    pub fn udp(&self) -> Result<UdpSocket, BindError> {
        let socket = self.bind(Transport::Udp, Type::DGRAM, Protocol::UDP)?;
        // The kernel caps these at net.core.{r,w}mem_max; less room is slower, not wrong.
        let _ = socket.set_recv_buffer_size(UDP_BUFFER);
        let _ = socket.set_send_buffer_size(UDP_BUFFER);
        Ok(socket.into())
    }

    /// A listening TCP socket.
    ///
    /// # Errors
    /// Which setting is wrong, or who is in the way.
    pub fn tcp(&self) -> Result<TcpListener, BindError> {
        let socket = self.bind(Transport::Tcp, Type::STREAM, Protocol::TCP)?;
        socket.listen(TCP_BACKLOG).map_err(|source| self.io_error(Transport::Tcp, source))?;
        Ok(socket.into())
    }

    fn bind(&self, transport: Transport, kind: Type, protocol: Protocol) -> Result<Socket, BindError> {
        self.check()?;
        let error = |source| self.io_error(transport, source);
        let socket = Socket::new(Domain::for_address(self.address), kind, Some(protocol)).map_err(error)?;
        match transport {
            // A restarted daemon gets its port back at once, whatever is left in TIME_WAIT.
            Transport::Tcp => socket.set_reuse_address(true).map_err(error)?,
            Transport::Udp => {}
        }
        if self.address.is_ipv6() {
            socket.set_only_v6(true).map_err(error)?;
        }
        if let Some(name) = &self.interface {
            socket.bind_device(Some(name.as_bytes())).map_err(|source| {
                if source.kind() == io::ErrorKind::PermissionDenied {
                    BindError::NotPermitted { what: format!("bind to interface {name:?}"), source }
                } else {
                    error(source)
                }
            })?;
        }
        socket.set_nonblocking(true).map_err(error)?;
        socket.bind(&self.address.into()).map_err(error)?;
        Ok(socket)
    }

    /// Waits until the peers' port is free again: a socket of QUIC's closes some turns after its endpoint was shut
    /// down. After `patience` it is left to the next bind to say who is in the way.
    pub async fn given_back(&self, patience: Duration) {
        let free = async {
            while matches!(self.udp(), Err(BindError::Taken { .. })) {
                sleep(BETWEEN_LOOKS).await;
            }
        };
        let _ = timeout(patience, free).await;
    }

    pub(super) fn udp_error(&self, source: io::Error) -> BindError {
        self.io_error(Transport::Udp, source)
    }

    fn io_error(&self, transport: Transport, source: io::Error) -> BindError {
        let address = self.address;
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::Taken { transport, address },
            io::ErrorKind::AddrNotAvailable => BindError::NotHere(address.ip()),
            io::ErrorKind::PermissionDenied => {
                BindError::NotPermitted { what: format!("listen on {transport} {address}"), source }
            }
            _ => BindError::Io { transport, address, source },
        }
    }
}

fn ip_of(entry: &InterfaceAddress) -> Option<IpAddr> {
    ip(entry.address.as_ref()?)
}

fn ip(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// The loopback interface carries its whole network: 127.0.0.2 is local though only 127.0.0.1 is
/// listed.
fn carries(entry: &InterfaceAddress, wanted: IpAddr) -> bool {
    let Some(own) = ip_of(entry) else { return false };
    if own == wanted {
        return true;
    }
    let mask = entry.netmask.as_ref().and_then(ip);
    match (own, mask, wanted) {
        (IpAddr::V4(own), Some(IpAddr::V4(mask)), IpAddr::V4(wanted)) => {
            entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) && own & mask == wanted & mask
        }
        _ => false,
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(address: &str, interface: Option<&str>) -> Binding {
        Binding { address: address.parse().unwrap(), interface: interface.map(str::to_owned) }
    }

    #[test]
    fn refuses_unspecified_addresses() {
        for address in ["0.0.0.0:7400", "[::]:7400"] {
            let error = binding(address, None).udp().unwrap_err().to_string();
            assert!(error.contains(address) && error.contains("set `address`"), "{error}");
        }
    }

    #[test]
    fn refuses_a_missing_interface_and_names_those_there_are() {
        let error = binding("127.0.0.1:0", Some("vlan4000")).udp().unwrap_err().to_string();
        assert!(error.contains("\"vlan4000\"") && error.contains("lo"), "{error}");
    }

    #[test]
    fn refuses_an_address_that_the_interface_does_not_carry() {
        let error = binding("192.0.2.1:0", Some("lo")).udp().unwrap_err().to_string();
        assert!(error.contains("192.0.2.1") && error.contains("127.0.0.1"), "{error}");
        let error = binding("192.0.2.1:0", None).udp().unwrap_err().to_string();
        assert!(error.contains("no interface of this host carries address 192.0.2.1"), "{error}");
    }

    #[test]
    fn refuses_a_taken_port_by_its_number() {
        let first = binding("127.0.0.1:0", None).udp().unwrap();
        let address = first.local_addr().unwrap();
        let error = binding(&address.to_string(), None).udp().unwrap_err().to_string();
        assert!(error.contains(&format!("UDP port {address} is taken")), "{error}");
        assert!(error.contains(&format!("sport = {}", address.port())), "{error}");

        let first = binding("127.0.0.1:0", None).tcp().unwrap();
        let address = first.local_addr().unwrap();
        let error = binding(&address.to_string(), None).tcp().unwrap_err().to_string();
        assert!(error.contains(&format!("TCP port {address} is taken")), "{error}");
    }

    #[test]
    fn binds_any_loopback_address_on_the_loopback_interface() {
        let socket = binding("127.0.0.3:0", Some("lo")).udp().unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), IpAddr::from([127, 0, 0, 3]));
    }
}
