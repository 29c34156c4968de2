"""The layers of a virtual Zigbee node: MAC, NWK, APS, ZDO, joining, and the trust centre."""
