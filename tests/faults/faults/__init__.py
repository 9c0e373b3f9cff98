"""What the fault suite and the soak are made of: a proxy that misbehaves, the faults, the phases of a
mirror's life in which they strike, and what has to be true afterwards."""
