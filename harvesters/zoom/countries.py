"""Names of countries, as Zoom's ``location`` may spell them: MaxMind's and ISO 3166's, and a few of everyday use."""

from __future__ import annotations

_NAMES = """
Afghanistan|Åland Islands|Aland Islands|Albania|Algeria|American Samoa|Andorra|Angola|Anguilla|Antarctica
Antigua and Barbuda|Argentina|Armenia|Aruba|Australia|Austria|Azerbaijan|Bahamas|The Bahamas|Bahrain|Bangladesh
Barbados|Belarus|Belgium|Belize|Benin|Bermuda|Bhutan|Bolivia|Bolivia, Plurinational State of
Bonaire, Sint Eustatius, and Saba|Bonaire, Sint Eustatius and Saba|Bosnia and Herzegovina|Bosnia & Herzegovina
Botswana|Bouvet Island|Brazil|British Indian Ocean Territory|British Virgin Islands|Virgin Islands, British|Brunei
Brunei Darussalam|Bulgaria|Burkina Faso|Burundi|Cabo Verde|Cape Verde|Cambodia|Cameroon|Canada|Cayman Islands
Central African Republic|Chad|Chile|China|Mainland China|People's Republic of China|Christmas Island
Cocos (Keeling) Islands|Cocos Islands|Colombia|Comoros|Congo|Republic of the Congo|Congo Republic|DR Congo
Democratic Republic of the Congo|Congo, The Democratic Republic of the|Congo, Democratic Republic of the|Cook Islands
Costa Rica|Côte d'Ivoire|Cote d'Ivoire|Ivory Coast|Croatia|Cuba|Curaçao|Curacao|Cyprus|Czechia|Czech Republic|Denmark
Djibouti|Dominica|Dominican Republic|Ecuador|Egypt|El Salvador|Equatorial Guinea|Eritrea|Estonia|Eswatini|Swaziland
Ethiopia|Falkland Islands|Falkland Islands (Malvinas)|Faroe Islands|Fiji|Finland|France|French Guiana|French Polynesia
French Southern Territories|Gabon|Gambia|The Gambia|Georgia|Germany|Ghana|Gibraltar|Greece|Greenland|Grenada|Guadeloupe
Guam|Guatemala|Guernsey|Guinea|Guinea-Bissau|Guyana|Haiti|Heard and McDonald Islands
Heard Island and McDonald Islands|Holy See|Holy See (Vatican City State)|Vatican City|Vatican|Honduras|Hong Kong
Hong Kong SAR|Hong Kong SAR China|Hungary|Iceland|India|Indonesia|Iran|Iran, Islamic Republic of|Iraq|Ireland
Isle of Man|Israel|Italy|Jamaica|Japan|Jersey|Hashemite Kingdom of Jordan|Jordan|Kazakhstan|Kenya|Kiribati|Kosovo
Kuwait|Kyrgyzstan|Laos|Lao People's Democratic Republic|Latvia|Lebanon|Lesotho|Liberia|Libya|Liechtenstein|Lithuania
Republic of Lithuania|Luxembourg|Macao|Macau|Macau SAR|Macao SAR China|Madagascar|Malawi|Malaysia|Maldives|Mali|Malta
Marshall Islands|Martinique|Mauritania|Mauritius|Mayotte|Mexico|México|Micronesia|Federated States of Micronesia
Micronesia, Federated States of|Moldova|Republic of Moldova|Moldova, Republic of|Monaco|Mongolia|Montenegro|Montserrat
Morocco|Mozambique|Myanmar|Myanmar (Burma)|Burma|Namibia|Nauru|Nepal|Netherlands|The Netherlands|Netherlands Antilles
New Caledonia|New Zealand|Nicaragua|Niger|Nigeria|Niue|Norfolk Island|North Korea
Korea, Democratic People's Republic of|North Macedonia|Macedonia|Northern Mariana Islands|Norway|Oman|Pakistan|Palau
Palestine|State of Palestine|Palestine, State of|Palestinian Territory|Palestinian Territories|Panama|Papua New Guinea
Paraguay|Peru|Philippines|Pitcairn|Pitcairn Islands|Poland|Portugal|Puerto Rico|Qatar|Réunion|Reunion|Romania|Russia
Russian Federation|Rwanda|Saint Barthélemy|St Barthélemy|Saint Barthelemy|Saint Helena|St Helena
Saint Helena, Ascension and Tristan da Cunha|Saint Kitts and Nevis|St Kitts and Nevis|Saint Lucia|St Lucia
Saint Martin|Saint Martin (French part)|Saint Pierre and Miquelon|Saint Vincent and the Grenadines
St Vincent and Grenadines|Samoa|San Marino|São Tomé and Príncipe|Sao Tome and Principe|Saudi Arabia|Senegal|Serbia
Seychelles|Sierra Leone|Singapore|Sint Maarten|Sint Maarten (Dutch part)|Slovakia|Slovenia|Solomon Islands|Somalia
South Africa|South Georgia and the South Sandwich Islands|South Korea|Republic of Korea|Korea, Republic of|Korea
South Sudan|Spain|Sri Lanka|Sudan|Suriname|Svalbard and Jan Mayen|Sweden|Switzerland|Syria|Syrian Arab Republic|Taiwan
Taiwan, Province of China|Taiwan, China|Tajikistan|Tanzania|Tanzania, United Republic of|Thailand|Timor-Leste
East Timor|Togo|Tokelau|Tonga|Trinidad and Tobago|Tunisia|Turkey|Türkiye|Turkiye|Turkmenistan|Turks and Caicos Islands
Tuvalu|U.S. Minor Outlying Islands|United States Minor Outlying Islands|U.S. Virgin Islands|US Virgin Islands
Virgin Islands, U.S.|Uganda|Ukraine|United Arab Emirates|UAE|United Kingdom|UK|Great Britain
United Kingdom of Great Britain and Northern Ireland|United States|United States of America|The United States|USA|US
U.S.|U.S.A.|Uruguay|Uzbekistan|Vanuatu|Venezuela|Venezuela, Bolivarian Republic of|Vietnam|Viet Nam|Wallis and Futuna
Western Sahara|Yemen|Zambia|Zimbabwe
"""
_KNOWN = frozenset(name.casefold() for line in _NAMES.split("\n") for name in line.split("|") if name)


def is_country(name: str) -> bool:
    """Whether `name` is that of a country, in any case."""
    return " ".join(name.split()).casefold() in _KNOWN
