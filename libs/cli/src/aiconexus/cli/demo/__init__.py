"""The main job on one machine: three agents, real work, a crash in the middle, hostile tries, and the count."""
