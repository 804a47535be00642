"""Real processes: servers, service instances, the simulated upstream, and the reaper that outlives their parent."""
