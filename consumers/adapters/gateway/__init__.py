"""Payment gateways behind `domain.ports.gateway.Gateway`: Stripe. What plays one stands in deploy/playbank."""
