"""What was made of what, where and when: units, visits, materials, links."""
