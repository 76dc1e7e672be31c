"""Payment gateways behind `domain.ports.gateway.Gateway`: Stripe, and a simulated one for benchmarks and simulation."""
