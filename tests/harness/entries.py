"""Configuration that scenarios write, as an operator would."""


def external(name: str, port: int, address: str = "127.0.0.1") -> str:
    """The registration of a service outside the mesh."""
    return (
        f'Node = "outside-{name}"\nAddress = "{address}"\n'
        f'Service {{\n  Service = "{name}"\n  Port = {port}\n}}\n'
    )


def allow(service: str, *sources: str) -> str:
    """The intentions that let these sources, and nobody else, reach a service."""
    listed = ", ".join(f'{{ Name = "{source}", Action = "allow" }}' for source in sources)
    return f'Kind = "service-intentions"\nName = "{service}"\nSources = [ {listed} ]\n'


def deny(service: str, *sources: str) -> str:
    """The intentions that name these sources only to refuse them."""
    listed = ", ".join(f'{{ Name = "{source}", Action = "deny" }}' for source in sources)
    return f'Kind = "service-intentions"\nName = "{service}"\nSources = [ {listed} ]\n'
