"""The plant: tags, units, genealogy, energy, ingest; joins everything."""
